-- A worker says that it lives and what decides the bytes of its answers.
mark(WORKERS, now + a.lease, a.name, a.lease)
redis.call('SET', key('worker', a.name), a.about, 'PX', whole(a.lease))
mark(FINGERPRINTS, now, a.fingerprint, a.ttl)
redis.call('ZREMRANGEBYSCORE', WORKERS, '-inf', whole(now))
redis.call('ZREMRANGEBYSCORE', FINGERPRINTS, '-inf', whole(now - a.ttl))
return 1
