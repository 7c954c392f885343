-- The fingerprints of workers, seen last first.
return redis.call('ZREVRANGE', FINGERPRINTS, 0, 15)
