-- FINISH: fenced. The first answer to a question is the one that is kept, whatever later workers find.
if not held(a.id) then return 0 end
local answer = key('answer', a.digest)
if redis.call('EXISTS', answer) == 0 then
  redis.call('HSET', answer, 'result', ARGV[2], 'figure', ARGV[3], 'arrays', a.arrays, 'sha256', a.sha256, 'refs', 0)
end
redis.call('HSET', key('job', a.id), 'timing', a.timing)
adopt(a.id, a.digest)
close(a.id, 'succeeded')
return 1
