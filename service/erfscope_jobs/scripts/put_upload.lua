-- A tenant has this file; what was known of it (its inspection) stays known.
local upload = key('upload', a.tenant, a.kind, a.sha256)
if redis.call('EXISTS', upload) == 0 then
  if above_watermark() then return {'memory', {}} end
  local taken = used(a.tenant, a.kind)
  if taken + a.size > a.most then return {a.kind, {whole(taken), whole(a.most)}} end
end
charge(a.tenant, a.kind, a.sha256, a.size, a.ttl)
redis.call('HSET', upload, 'size', whole(a.size))
redis.call('HSETNX', upload, 'name', a.name)
redis.call('HSETNX', upload, 'created', whole(now))
if a.parts then redis.call('HSET', upload, 'parts', a.parts) end
keep(upload, a.ttl)
for _, sha256 in ipairs(a.blobs) do keep_blob(sha256, a.ttl) end
return {'stored', redis.call('HGETALL', upload)}
