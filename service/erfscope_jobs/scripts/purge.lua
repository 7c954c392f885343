-- PURGE: a terminal job goes, and its answer with it when no other job has that answer.
if field(a.id, 'tenant') ~= a.tenant then return 'missing' end
local status = field(a.id, 'status')
if not ENDED[status] then return 'open' end
local digest, idempotency = field(a.id, 'answer'), field(a.id, 'key')
if digest and redis.call('EXISTS', key('answer', digest)) == 1
  and redis.call('HINCRBY', key('answer', digest), 'refs', -1) <= 0 then
  redis.call('DEL', key('answer', digest))
  refund(a.tenant, 'result', digest)
end
if idempotency then redis.call('DEL', key('key', a.tenant, idempotency)) end
redis.call('ZREM', list_of(a.tenant, field(a.id, 'kind')), a.id)
redis.call('ZREM', list_of(a.tenant), a.id)
refund(a.tenant, 'job', a.id)
redis.call('DEL', key('job', a.id), key('events', a.id))
return 'purged'
