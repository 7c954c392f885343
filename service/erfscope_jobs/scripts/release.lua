-- RELEASE: a worker is known to be dead. Its leases end now, so the next REAP queues its jobs again; it leaves the registry.
local ended = {}
for _, id in ipairs(redis.call('ZRANGE', LEASES, 0, -1)) do
  if field(id, 'status') == 'running' and string.sub(field(id, 'worker') or '', 1, #a.worker) == a.worker then
    mark(LEASES, now, id, life(id))
    ended[#ended + 1] = field(id, 'parent') or id
  end
end
for _, name in ipairs(redis.call('ZRANGE', WORKERS, 0, -1)) do
  if string.sub(name, 1, #a.worker) == a.worker then
    redis.call('ZREM', WORKERS, name)
    redis.call('DEL', key('worker', name))
  end
end
return ended
