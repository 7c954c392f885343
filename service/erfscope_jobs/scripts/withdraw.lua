-- WITHDRAW: a caller that was refused takes back a job that it was given as one of several. It ends and goes, unless
-- another caller was given it too.
if field(a.id, 'tenant') ~= a.tenant then return 0 end
redis.call('HDEL', key('job', a.id), 'holder:' .. a.holder)
for _, name in ipairs(redis.call('HKEYS', key('job', a.id))) do
  if string.sub(name, 1, 7) == 'holder:' then return 0 end
end
if not ENDED[field(a.id, 'status')] then close(a.id, 'canceled') end
remove(a.id)
return 1
