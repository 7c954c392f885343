-- CANCEL: queued or running → canceled at once (the worker learns it at its next beat); a terminal job stays.
if field(a.id, 'tenant') ~= a.tenant then return {} end
local status = field(a.id, 'status')
if not ENDED[status] then close(a.id, 'canceled') end
return whole_record(a.id)
