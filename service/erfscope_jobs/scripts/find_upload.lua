-- Does this tenant have this file? Looking makes it live on.
local upload = key('upload', a.tenant, a.kind, a.sha256)
use(upload, a.ttl, function()
  prolong(a.tenant, a.kind, a.sha256, a.ttl)
  local parts = redis.call('HGET', upload, 'parts')
  if not parts then return keep_blob(a.sha256, a.ttl) end
  parts = cjson.decode(parts)
  keep_blob(parts.model, a.ttl)
  for _, sha256 in pairs(parts.data) do keep_blob(sha256, a.ttl) end
end)
return redis.call('HGETALL', upload)
