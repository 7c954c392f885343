-- RETRY: fenced. The attempt ended without an answer (the child crashed, the worker stops): again, unless too often.
-- While the file store fails a job waits, however often: only its deadline ends it then, and says why.
if not held(a.id) then return 'lost' end
if a.failure == 'outage' then
  redis.call('HINCRBY', key('job', field(a.id, 'parent') or a.id), 'outages', 1)
  count('outages')
  enqueue(a.id, a.lease)
  return 'queued'
end
if a.failure == 'crash' then return give_up_or_requeue(a.id, 'crashes', a.max_crashes) end
return give_up_or_requeue(a.id, 'lapses', a.max_lapses, 'handbacks')
