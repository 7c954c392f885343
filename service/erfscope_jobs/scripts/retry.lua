-- RETRY: fenced. The attempt ended without an answer (the child crashed, the worker stops): again, unless too often.
if not held(a.id) then return 'lost' end
if a.failure == 'crash' then return give_up_or_requeue(a.id, 'crashes', a.max_crashes) end
return give_up_or_requeue(a.id, 'lapses', a.max_lapses)
