-- One page of the files of a kind that a tenant has stored, newest first; `after` is the last entry of the page before.
local held = held_by(a.tenant, a.kind)
local entries = {}
for _, sha256 in ipairs(redis.call('ZRANGEBYSCORE', held, '(' .. whole(now), '+inf')) do
  local created = redis.call('HGET', key('upload', a.tenant, a.kind, sha256), 'created')
  if created then entries[#entries + 1] = string.format('%020d', tonumber(created)) .. '-' .. sha256 end
end
table.sort(entries, function(one, other) return one > other end)
local page, last = {}, false
for _, entry in ipairs(entries) do
  if not a.after or entry < a.after then
    if #page == a.size then return {page, last} end
    local sha256 = string.sub(entry, 22)
    page[#page + 1] = {sha256, redis.call('HGETALL', key('upload', a.tenant, a.kind, sha256))}
    last = entry
  end
end
return {page, false}
