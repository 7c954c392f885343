-- CLAIM: only from `queued`; the attempt goes up by one and the lease begins.
if field(a.id, 'status') ~= 'queued' then return {} end
if number(a.id, 'deadline') <= now then expire(a.id); return {} end
redis.call('HINCRBY', key('job', a.id), 'attempt', 1)
redis.call('HSET', key('job', a.id), 'status', 'running', 'started', whole(now), 'worker', a.worker)
redis.call('ZADD', OPEN, whole(math.min(now + a.lease, number(a.id, 'deadline'))), a.id)
redis.call('ZREM', QUEUED, a.id)
event(a.id)
return record(a.id)
