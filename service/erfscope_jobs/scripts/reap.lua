-- REAP: what is overdue in `open`: queued → ring again, running → its lease is lost, past the deadline → expired.
-- A long queue must not be rung over and over: never more messages than open jobs.
local waiting = 0
for _, queue in ipairs(a.queues) do waiting = waiting + redis.call('LLEN', queue) end
local budget = redis.call('ZCARD', OPEN) - waiting
local ring = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', OPEN, '-inf', whole(now), 'LIMIT', 0, a.most)) do
  local status = field(id, 'status')
  if not status then
    redis.call('ZREM', OPEN, id)
    redis.call('ZREM', QUEUED, id)
  elseif number(id, 'deadline') <= now then
    expire(id)
  elseif status == 'running' then
    if give_up_or_requeue(id, 'lapses', a.max_lapses) == 'queued' then ring[#ring + 1] = {id, field(id, 'kind')} end
  else
    redis.call('ZADD', OPEN, whole(math.min(now + a.lease, number(id, 'deadline'))), id)
    if budget > 0 then
      budget = budget - 1
      count('rung')
      ring[#ring + 1] = {id, field(id, 'kind')}
    end
  end
end
-- A shard that lapsed once too often ends its job, and with it shards that were to be rung before.
local open = {}
for _, one in ipairs(ring) do
  if redis.call('ZSCORE', OPEN, one[1]) then open[#open + 1] = one end
end
return open
