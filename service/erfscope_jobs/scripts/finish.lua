-- FINISH: fenced. The first answer to a question is the one that is kept, whatever later workers find.
-- Seconds by stage as histograms: a counter per stage and bucket (its upper end), and a sum.
local function observe_stages()
  for stage, seconds in pairs(a.stages) do
    local bucket = 'inf'
    for _, bound in ipairs(a.bounds) do
      if seconds <= bound then bucket = tostring(bound); break end
    end
    count('stage:' .. stage .. ':' .. bucket)
    redis.call('HINCRBY', TALLY, 'stage:' .. stage .. ':milliseconds', whole(seconds * 1000))
  end
end

if not held(a.id) then return 0 end
local answer = key('answer', a.digest)
if redis.call('EXISTS', answer) == 0 then
  redis.call('HSET', answer, 'result', ARGV[2], 'figure', ARGV[3], 'arrays', a.arrays, 'sha256', a.sha256, 'refs', 0)
end
redis.call('HSET', key('job', a.id), 'timing', a.timing)
observe_stages()
charge(field(a.id, 'tenant'), 'result', a.digest, a.size, number(a.id, 'ttl'))
adopt(a.id, a.digest)
close(a.id, 'succeeded')
return 1
