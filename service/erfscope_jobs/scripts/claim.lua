-- CLAIM: only what waits; the attempt goes up by one and the lease begins.
-- Parts measured on different kinds of machine do not add up to one machine's bytes: shards and their merge go to
-- the kind of worker that split the job, and when none of that kind lives, the job runs in one piece.
local parent, status = field(a.id, 'parent'), field(a.id, 'status')
if status ~= 'queued' and status ~= 'merge' then return {} end
if number(a.id, 'deadline') <= now then expire(a.id); return {} end
local kind = field(a.id, 'fingerprint')
if kind and kind ~= a.fingerprint then
  if lives(kind) then redis.call('ZADD', OPEN, whole(now), a.id) else rejoin(parent or a.id, a.lease) end
  return {}
end
redis.call('HINCRBY', key('job', a.id), 'attempt', 1)
redis.call('HSET', key('job', a.id), 'status', 'running', 'worker', a.worker)
if status ~= 'merge' then redis.call('HSET', key('job', a.id), 'started', whole(now)) end
leave_line(a.id)
end_turn(field(a.id, 'kind'), owner(a.id))
hold(a.id)
redis.call('ZADD', OPEN, whole(number(a.id, 'deadline')), a.id)
redis.call('ZREM', QUEUED, a.id)
event(a.id)
local fields = record(a.id)
for name, value in pairs({payload = parent and field(parent, 'payload'), now = whole(now)}) do
  if value then fields[#fields + 1] = name; fields[#fields + 1] = value end
end
return fields
