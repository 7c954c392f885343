-- SLOTS: how many jobs live workers of this kind run at a time; while others wait, nothing is worth splitting.
if redis.call('ZCARD', QUEUED) > 0 then return 0 end
local slots = 0
for _, name in ipairs(redis.call('ZRANGEBYSCORE', WORKERS, '(' .. whole(now), '+inf')) do
  local about = redis.call('GET', key('worker', name))
  if about and string.find(about, a.fingerprint, 1, true) then slots = slots + cjson.decode(about).concurrency end
end
return slots
