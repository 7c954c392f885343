-- A worker has stopped.
redis.call('ZREM', WORKERS, a.name)
return redis.call('DEL', key('worker', a.name))
