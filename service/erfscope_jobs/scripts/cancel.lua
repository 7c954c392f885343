-- CANCEL: queued or running → canceled at once (the worker learns it at its next beat); a terminal job stays.
if field(a.id, 'tenant') ~= a.tenant then return {} end
local status = field(a.id, 'status')
local ends_now = not ENDED[status]
if ends_now then close(a.id, 'canceled') end
local fields = whole_record(a.id)
fields[#fields + 1] = 'canceled_now'
fields[#fields + 1] = ends_now and '1' or '0'
return fields
