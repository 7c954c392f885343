-- What is known of a series; looking makes it live on, as it does its jobs.
local series = key('series', a.tenant, a.id)
use(series, a.ttl, function() end)
return redis.call('GET', series)
