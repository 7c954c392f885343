-- SWEPT: a sweep of stored files has ended, or a sweeper has begun its work.
redis.call('SET', key('swept'), whole(now), 'PX', '31536000000')
return 1
