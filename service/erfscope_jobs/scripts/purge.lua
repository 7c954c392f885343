-- PURGE: a terminal job goes, and its answer with it when no other job has that answer.
if field(a.id, 'tenant') ~= a.tenant then return 'missing' end
if not ENDED[field(a.id, 'status')] then return 'open' end
remove(a.id)
return 'purged'
