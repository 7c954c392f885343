-- SUBMIT: the same id or Idempotency-Key → that job; a known answer → a job that has succeeded; else queued.
-- Why not, and what is taken of how much; an answer that is known takes a record, but no worker and no new room.
local function refusal(known)
  if above_watermark() then return 'memory' end
  local jobs = used(a.tenant, 'job')
  if jobs >= a.max_jobs then return 'job', jobs, a.max_jobs end
  if known then return end
  local results = used(a.tenant, 'result')
  if results >= a.max_results then return 'result', results, a.max_results end
  if redis.call('ZCARD', OPEN) >= a.max_open then return 'full' end
  local active = redis.call('ZCARD', key('active', a.tenant))
  if active >= a.max_open_tenant then return 'tenant', active, a.max_open_tenant end
end

local function known_answer()
  for _, digest in ipairs(a.candidates) do
    if redis.call('EXISTS', key('answer', digest)) == 1 then return digest end
  end
end

local function listed()
  for _, list in ipairs({list_of(a.tenant, a.kind), list_of(a.tenant)}) do
    local newest = redis.call('ZRANGE', list, -1, -1, 'WITHSCORES')
    local score = math.max(micros, (tonumber(newest[2]) or 0) + 1) -- unique, so that a page token is one number
    redis.call('ZREMRANGEBYSCORE', list, '-inf', '(' .. whole(micros - (a.ttl + a.patience) * 1000))
    mark(list, score, a.id, a.ttl + a.patience)
  end
end

-- The answers that were looked for are of the kinds of workers that were known: if others are, the caller asks again.
if a.fingerprints then
  local known, asked = redis.call('ZREVRANGE', FINGERPRINTS, 0, 15), {}
  for _, fingerprint in ipairs(a.fingerprints) do asked[fingerprint] = true end
  local same = #known == #a.fingerprints
  for _, fingerprint in ipairs(known) do same = same and asked[fingerprint] end
  if not same then return {'fingerprints', known} end
end

-- `holder` is one caller that submits several jobs and takes them back when one is refused (WITHDRAW).
local function known(id)
  if a.holder then redis.call('HSET', key('job', id), 'holder:' .. a.holder, 1) end
  return {'known', whole_record(id)}
end

if redis.call('EXISTS', key('job', a.id)) == 1 then return known(a.id) end
-- The job inspects a model of the tenant: never one that was deleted meanwhile, and not what another caller has begun
-- since this one looked (`before` was the model's inspection then).
local model = a.inspects and key('upload', a.tenant, 'model', a.inspects)
if model then
  if redis.call('EXISTS', model) == 0 then return {'gone', {'0', '0'}} end
  local job = redis.call('HGET', model, 'job')
  if job and job ~= a.before and redis.call('EXISTS', key('job', job)) == 1 then return known(job) end
end
local seen = key('key', a.tenant, a.idempotency or '')
if a.idempotency then
  local before = redis.call('HMGET', seen, 'id', 'body')
  if before[1] and redis.call('EXISTS', key('job', before[1])) == 1 then
    if before[2] ~= a.body then return {'mismatch', {'0', '0'}} end
    return known(before[1])
  end
end
local digest = known_answer()
local no, taken, most = refusal(digest)
if no then return {no, {whole(taken or 0), whole(most or 0)}} end

redis.call('HSET', key('job', a.id), 'id', a.id, 'kind', a.kind, 'tenant', a.tenant, 'status', 'queued',
  'attempt', 0, 'crashes', 0, 'lapses', 0, 'stage', '', 'progress', '0', 'cached', digest and 1 or 0,
  'payload', ARGV[2], 'event', '0-0', 'question', a.question, 'created', whole(now),
  'deadline', whole(now + a.patience), 'ttl', whole(a.ttl))
keep(key('job', a.id), life(a.id))
charge(a.tenant, 'job', a.id, 1, life(a.id))
listed()
if a.idempotency then
  redis.call('HSET', seen, 'id', a.id, 'body', a.body)
  redis.call('HSET', key('job', a.id), 'key', a.idempotency)
  keep(seen, life(a.id))
end
if a.holder then redis.call('HSET', key('job', a.id), 'holder:' .. a.holder, 1) end
if model then redis.call('HSET', model, 'job', a.id) end
for _, sha256 in ipairs(a.blobs) do
  keep_blob(sha256, life(a.id))
  for _, kind in ipairs({'model', 'file'}) do
    local upload = key('upload', a.tenant, kind, sha256)
    if redis.call('EXISTS', upload) == 1 then
      keep(upload, life(a.id))
      prolong(a.tenant, kind, sha256, life(a.id))
    end
  end
end
count('submitted')
if digest then
  count('cached')
  redis.call('HSET', key('job', a.id), 'started', whole(now))
  adopt(a.id, digest)
  close(a.id, 'succeeded')
else
  mark(key('active', a.tenant), now, a.id, life(a.id))
  enqueue(a.id, a.lease)
end
return {'created', whole_record(a.id)}
