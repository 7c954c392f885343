-- LIST: one page of a tenant's jobs, newest first, without results; `before` is the last score of the page before.
local list = key('jobs', a.tenant)
local from = a.before and ('(' .. a.before) or '+inf'
local found = redis.call('ZREVRANGEBYSCORE', list, from, '-inf', 'WITHSCORES', 'LIMIT', 0, a.size + 1)
local page, last = {}, false
for i = 1, math.min(#found, 2 * a.size), 2 do
  local fields = record(found[i])
  last = found[i + 1]
  if #fields > 0 then page[#page + 1] = fields end
end
if #found <= 2 * a.size then last = false end
return {page, last}
