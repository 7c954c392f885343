-- Does this tenant have this file? Looking makes it live on.
local upload = key('upload', a.tenant, a.kind, a.sha256)
use(upload, a.ttl, function() keep_blob(a.sha256, a.ttl) end)
return redis.call('HGETALL', upload)
