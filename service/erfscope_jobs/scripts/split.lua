-- SPLIT: fenced. Parts of the samples are queued as shards; the job itself waits for them without a lease.
if not held(a.id) then return {} end
local deadline, ids = number(a.id, 'deadline'), {}
redis.call('HSET', key('job', a.id), 'status', 'split', 'shards', #a.parts, 'left', #a.parts,
  'fingerprint', a.fingerprint, 'stage', 'measure', 'progress', '0')
redis.call('ZADD', OPEN, whole(deadline), a.id)
redis.call('ZREM', LEASES, a.id)
for n, part in ipairs(a.parts) do
  local id = shard_id(a.id, n)
  redis.call('HSET', key('job', id), 'id', id, 'parent', a.id, 'kind', 'shard', 'tenant', '', 'status', 'queued',
    'attempt', 0, 'crashes', 0, 'lapses', 0, 'cached', 0, 'payload', '', 'event', '0-0',
    'question', field(a.id, 'question'), 'fingerprint', a.fingerprint, 'part', cjson.encode(part),
    'created', whole(now), 'deadline', whole(deadline), 'ttl', field(a.id, 'ttl'))
  keep(key('job', id), life(a.id))
  enqueue(id, a.lease)
  ids[n] = id
end
event(a.id)
count('split')
return ids
