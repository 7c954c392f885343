-- GET: the record with its result; another tenant's is as unknown as any other. GLANCE: what a 304 depends on only.
if field(a.id, 'tenant') ~= a.tenant then return {} end
if ENDED[field(a.id, 'status')] then use_job(a.id) end
if a.glance then return redis.call('HMGET', key('job', a.id), 'kind', 'status', 'sha256', 'arrays', 'event') end
return whole_record(a.id)
