-- One page of a tenant's series, newest first; those that have expired leave the list. `before` as in LIST.
local list = key('serieslist', a.tenant)
local from = a.before and ('(' .. a.before) or '+inf'
local page, last = {}, false
local entries = redis.call('ZREVRANGEBYSCORE', list, from, '-inf', 'WITHSCORES', 'LIMIT', 0, 1000)
for i = 1, #entries, 2 do
  if #page == a.size then return {page, last} end
  local known = redis.call('GET', key('series', a.tenant, entries[i]))
  last = entries[i + 1]
  if known then page[#page + 1] = {entries[i], known} else pcall(redis.call, 'ZREM', list, entries[i]) end
end
return {page, #entries == 2000 and last or false}
