-- FORGET what is left of a tenant whose jobs and files are gone: answers that an expired job had left, accounts, lists.
-- 0, and nothing is written, while it has a job or a file.
for _, what in ipairs({'job', 'model', 'file'}) do
  if used(a.tenant, what) > 0 then return 0 end
end
for _, digest in ipairs(redis.call('ZRANGE', held_by(a.tenant, 'result'), 0, -1)) do
  redis.call('DEL', key('answer', digest))
end
for _, what in ipairs({'job', 'model', 'file', 'result'}) do redis.call('DEL', held_by(a.tenant, what)) end
for _, kind in ipairs(a.kinds) do redis.call('DEL', list_of(a.tenant, kind)) end
redis.call('DEL', list_of(a.tenant), key('active', a.tenant), key('serieslist', a.tenant))
return 1
