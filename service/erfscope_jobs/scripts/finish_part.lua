-- FINISH of a shard: fenced. The last one sends its job to be put together; the reply names it then.
if not held(a.id) then return 'lost' end
local parent = field(a.id, 'parent')
redis.call('HSET', key('job', a.id), 'status', 'succeeded', 'stage', 'measure', 'progress', '1', 'arrays', a.arrays)
redis.call('ZREM', OPEN, a.id)
redis.call('ZREM', LEASES, a.id)
for _, sha256 in pairs(cjson.decode(a.arrays)) do mark(PARTS, number(a.id, 'deadline'), sha256, life(parent)) end
tell_share(parent)
if redis.call('HINCRBY', key('job', parent), 'left', -1) > 0 then return 'kept' end
local parts = {}
for n = 1, number(parent, 'shards') do parts[n] = cjson.decode(field(shard_id(parent, n), 'arrays')) end
redis.call('HSET', key('job', parent), 'parts', cjson.encode(parts))
enqueue(parent, a.lease)
return 'merge'
