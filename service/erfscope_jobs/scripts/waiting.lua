-- WAITING: how many jobs of each kind wait for a worker.
local counts = {}
for n, kind in ipairs(a.kinds) do counts[n] = redis.call('ZCARD', key('waiting', kind)) end
return counts
