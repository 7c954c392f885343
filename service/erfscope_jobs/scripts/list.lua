-- LIST: one page of a tenant's jobs, newest first, without results, of a kind and a status where they are given.
-- `before` is the last score of the page before. A page may be short of jobs where few have that status: MOST bounds the
-- work of one call, and the token goes on from there.
local CHUNK, MOST = 100, 1000
local list = list_of(a.tenant, a.kind)
local from, last, looked = a.before and ('(' .. a.before) or '+inf', false, 0
local page = {}

local function is_asked_for(id)
  local status = field(id, 'status')
  return status and (not a.status or (SHOWN[status] or status) == a.status)
end

repeat
  local entries = redis.call('ZREVRANGEBYSCORE', list, from, '-inf', 'WITHSCORES', 'LIMIT', 0, CHUNK)
  for i = 1, #entries, 2 do
    if #page == a.size then return {page, last} end
    last = entries[i + 1]
    if is_asked_for(entries[i]) then page[#page + 1] = record(entries[i]) end
  end
  from, looked = last and ('(' .. last) or from, looked + CHUNK
  if #entries < 2 * CHUNK then return {page, false} end
until looked >= MOST
return {page, last}
