-- A tenant no longer has this file; the bytes go when nothing that used them lives.
refund(a.tenant, a.kind, a.sha256)
return redis.call('DEL', key('upload', a.tenant, a.kind, a.sha256))
