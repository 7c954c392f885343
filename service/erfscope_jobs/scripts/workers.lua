-- The workers that live.
local found = {}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', WORKERS, '(' .. whole(now), '+inf')) do
  found[#found + 1] = redis.call('GET', key('worker', name)) or nil
end
return found
