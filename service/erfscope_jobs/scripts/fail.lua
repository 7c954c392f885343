-- FAIL: fenced. The job ends with this problem.
if not held(a.id) then return 0 end
close(a.id, 'failed', 'problem', a.problem, 'timing', a.timing)
count('failed:' .. a.problem_kind)
return 1
