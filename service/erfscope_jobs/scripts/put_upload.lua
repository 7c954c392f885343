-- A tenant has this file; what was known of it (its inspection) stays known.
local upload = key('upload', a.tenant, a.kind, a.sha256)
redis.call('HSET', upload, 'size', whole(a.size))
redis.call('HSETNX', upload, 'name', a.name)
redis.call('HSETNX', upload, 'created', whole(now))
if a.parts then redis.call('HSET', upload, 'parts', a.parts) end
if a.job then redis.call('HSET', upload, 'job', a.job) end
keep(upload, a.ttl)
for _, sha256 in ipairs(a.blobs) do keep_blob(sha256, a.ttl) end
return redis.call('HGETALL', upload)
