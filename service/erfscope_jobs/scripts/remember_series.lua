-- A new series, and its place in the list of its tenant; nothing is written where there is one of this id.
local series, list = key('series', a.tenant, a.id), key('serieslist', a.tenant)
if redis.call('EXISTS', series) == 1 then return 0 end
local newest = redis.call('ZRANGE', list, -1, -1, 'WITHSCORES')
mark(list, math.max(micros, (tonumber(newest[2]) or 0) + 1), a.id, a.ttl)
redis.call('SET', series, ARGV[2], 'PX', whole(a.ttl))
return 1
