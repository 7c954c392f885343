-- GET: the record with its result; another tenant's is as unknown as any other.
if field(a.id, 'tenant') ~= a.tenant then return {} end
if ENDED[field(a.id, 'status')] then use_job(a.id) end
return whole_record(a.id)
