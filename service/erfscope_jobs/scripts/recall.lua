-- RECALL: fenced. Another worker has answered this question meanwhile: that answer is this job's, too.
if not held(a.id) or redis.call('EXISTS', key('answer', a.digest)) == 0 then return 0 end
redis.call('HSET', key('job', a.id), 'cached', 1)
adopt(a.id, a.digest)
close(a.id, 'succeeded')
count('cached')
return 1
