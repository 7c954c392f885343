-- A tenant has this file; what was known of it (its inspection) stays known.
local upload = key('upload', a.tenant, a.kind, a.sha256)
redis.call('HSET', upload, 'size', whole(a.size))
redis.call('HSETNX', upload, 'name', a.name)
redis.call('HSETNX', upload, 'created', whole(now))
if a.job then redis.call('HSET', upload, 'job', a.job) end
keep(upload, a.ttl)
keep_blob(a.sha256, a.ttl)
return redis.call('HGETALL', upload)
