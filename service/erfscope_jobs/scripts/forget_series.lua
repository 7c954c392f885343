-- A series goes; its jobs stay.
redis.call('ZREM', key('serieslist', a.tenant), a.id)
return redis.call('DEL', key('series', a.tenant, a.id))
