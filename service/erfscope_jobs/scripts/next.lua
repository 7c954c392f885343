-- NEXT: the job whose turn it is. Tenants take turns, and what was interrupted is first in its tenant's line.
-- Bounded: who is not among these comes when others have had their turn.
local function ready(id, line)
  local status = field(id, 'status')
  if not status then -- the store was away for longer than the record lives
    redis.call('ZREM', line, id)
    redis.call('ZREM', key('waiting', a.kind), id)
  end
  if status ~= 'queued' and status ~= 'merge' then return false end
  local kind = field(id, 'fingerprint')
  if not kind or kind == a.fingerprint or not lives(kind) then return true end
  redis.call('ZADD', OPEN, whole(now), id) -- a message for it was heard by the wrong worker: it is sent again soon
  return false
end

local skipped = {}
for _, id in ipairs(a.skip) do skipped[id] = true end
for _, tenant in ipairs(redis.call('ZRANGE', key('turns', a.kind), 0, 99)) do
  local line = key('line', a.kind, tenant)
  for _, id in ipairs(redis.call('ZRANGE', line, 0, 15)) do
    if not skipped[id] and ready(id, line) then return id end
  end
end
return false
