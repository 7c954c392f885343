-- REAP: lost leases first, then what is overdue in `open`: queued → notify again, past the deadline → expired.
-- `missing` has for each kind how many messages fewer there are in its queue than jobs wait. The reply also names the
-- jobs whose lease was lost: id, worker, attempt, and the status that the job has now.
local missing = a.missing

local function overdue(set) return redis.call('ZRANGEBYSCORE', set, '-inf', whole(now), 'LIMIT', 0, a.most) end

local ring, lost, late, told = {}, overdue(LEASES), nil, {}
for _, id in ipairs(lost) do
  if field(id, 'status') ~= 'running' then
    redis.call('ZREM', LEASES, id)
  elseif number(id, 'deadline') <= now then
    expire(id)
  else
    local worker, attempt = field(id, 'worker') or '', field(id, 'attempt')
    local status = give_up_or_requeue(id, 'lapses', a.max_lapses)
    told[#told + 1] = {id, worker, attempt, status}
    if status == 'queued' then ring[#ring + 1] = {id, field(id, 'kind')} end
  end
end

late = overdue(OPEN)
for _, id in ipairs(late) do
  local status, kind = field(id, 'status'), field(id, 'kind')
  if not status then
    redis.call('ZREM', OPEN, id)
    redis.call('ZREM', QUEUED, id)
  elseif number(id, 'deadline') <= now then
    expire(id)
  else
    redis.call('ZADD', OPEN, whole(math.min(now + a.lease, number(id, 'deadline'))), id)
    if (missing[kind] or 1) > 0 then
      missing[kind] = missing[kind] and missing[kind] - 1
      count('rung')
      ring[#ring + 1] = {id, kind}
    end
  end
end
-- A shard that lapsed once too often ends its job, and with it shards that were to be told of before.
local open = {}
for _, one in ipairs(ring) do
  if redis.call('ZSCORE', OPEN, one[1]) then open[#open + 1] = one end
end
return {open, (#lost == a.most or #late == a.most) and 1 or 0, cjson.encode(missing), told}
