-- How the ledger is doing, for readiness and metrics.
local memory = redis.call('INFO', 'memory')
local oldest = redis.call('ZRANGE', QUEUED, 0, 0, 'WITHSCORES')
local swept = redis.call('GET', key('swept'))
swept = swept and tonumber(swept)
return {
  redis.call('ZCOUNT', WORKERS, '(' .. whole(now), '+inf'),
  redis.call('ZCARD', OPEN), redis.call('ZCARD', QUEUED),
  whole(oldest[2] and now - oldest[2] or 0),
  memory:match('\nused_memory:(%d+)'), memory:match('\nmaxmemory:(%d+)'),
  redis.call('HGETALL', TALLY), whole(swept and now - swept or -1) }
