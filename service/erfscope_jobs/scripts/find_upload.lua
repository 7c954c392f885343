-- Does this tenant have this file?
return redis.call('HGETALL', key('upload', a.tenant, a.kind, a.sha256))
