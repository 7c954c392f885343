-- Prefix of every script: keys, time, and the steps that several transitions share.
-- KEYS[1] is the namespace, ARGV[1] the named arguments as JSON; bytes follow as further ARGV.
local space = KEYS[1]
local a = cjson.decode(ARGV[1])

local function key(...) return space .. ':' .. table.concat({...}, ':') end
local OPEN, QUEUED, WORKERS = key('open'), key('queued'), key('workers')
local LEASES = key('leases') -- what runs, by the end of its lease: apart from `open`, where thousands may wait before it
local FINGERPRINTS, BLOBS, TALLY = key('fingerprints'), key('blobs'), key('tally')
local PARTS = key('parts') -- blobs of shards: they go with their job, unlike those that answers share

local ENDED = {succeeded = true, failed = true, canceled = true, expired = true}
-- A job that is split waits in `split` for its shards and in `merge` for a worker; people see it run.
local SHOWN = {split = 'running', merge = 'running'}

-- Redis' own clock, so that a worker whose clock is an hour off changes nothing.
local clock = redis.call('TIME')
local function whole(number) return string.format('%.0f', number) end
local micros = clock[1] * 1000000 + clock[2]
local now = math.floor(micros / 1000)

-- Every key has a TTL, and using it only ever makes it longer.
local function keep(name, milliseconds)
  if redis.call('PTTL', name) < milliseconds then redis.call('PEXPIRE', name, whole(milliseconds)) end
end

-- What is looked at lives on, and `also` what it needs. Rarely told: reading should not cost a write to the disk each
-- time; and in vain where the store is full or may only be read, for then it must still answer.
local function use(name, milliseconds, also)
  local left = redis.call('PTTL', name)
  if left < 0 or left > 0.9 * milliseconds then return end
  pcall(function()
    redis.call('PEXPIRE', name, whole(milliseconds))
    also()
  end)
end

local function mark(set, score, member, milliseconds)
  redis.call('ZADD', set, whole(score), member)
  keep(set, milliseconds)
end

local function count(what)
  redis.call('HINCRBY', TALLY, what, 1)
  keep(TALLY, 31536000000)
end

-- Accounts: what a tenant stores, per kind (model, file, result, job). `held` has the names by the end of their life,
-- `sizes` their sizes, and their sum under the empty name. All of it expires with what it counts.
local function held_by(tenant, what) return key('held', tenant, what), key('sizes', tenant, what) end

local function refund(tenant, what, name)
  local held, sizes = held_by(tenant, what)
  if redis.call('ZREM', held, name) == 0 then return end
  redis.call('HINCRBY', sizes, '', -(tonumber(redis.call('HGET', sizes, name)) or 0))
  redis.call('HDEL', sizes, name)
  if redis.call('EXISTS', held) == 0 then redis.call('DEL', sizes) end
end

local function used(tenant, what)
  local held, sizes = held_by(tenant, what)
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', held, '-inf', whole(now), 'LIMIT', 0, 1000)) do
    refund(tenant, what, name)
  end
  return tonumber(redis.call('HGET', sizes, '')) or 0
end

local function charge(tenant, what, name, size, milliseconds)
  local held, sizes = held_by(tenant, what)
  if redis.call('HSETNX', sizes, name, whole(size)) == 1 then redis.call('HINCRBY', sizes, '', whole(size)) end
  mark(held, now + milliseconds, name, milliseconds)
  keep(sizes, milliseconds)
end

local function prolong(tenant, what, name, milliseconds)
  local held, sizes = held_by(tenant, what)
  local ends = tonumber(redis.call('ZSCORE', held, name))
  if not ends or ends >= now + milliseconds then return end
  mark(held, now + milliseconds, name, milliseconds)
  keep(sizes, milliseconds)
end

-- Above the watermark nothing is written that is not needed: what runs may end, what is new must wait.
local function above_watermark()
  local memory = redis.call('INFO', 'memory')
  local most = tonumber(memory:match('\nmaxmemory:(%d+)'))
  return most > 0 and tonumber(memory:match('\nused_memory:(%d+)')) > a.watermark * most
end

local function keep_blob(sha256, milliseconds)
  local known = tonumber(redis.call('ZSCORE', BLOBS, sha256) or 0)
  if known < now + milliseconds then mark(BLOBS, now + milliseconds, sha256, milliseconds) end
end

-- Lists of a tenant's jobs, newest first: one for each kind, and without a kind the list of all.
local function list_of(tenant, kind)
  if not kind then return key('every', tenant) end
  if kind == 'erf' then return key('jobs', tenant) end
  return key('jobs', tenant, kind)
end

local function field(id, name) return redis.call('HGET', key('job', id), name) end
local function number(id, name) return tonumber(field(id, name)) end

local function life(id) return math.max(number(id, 'deadline') - now, 0) + number(id, 'ttl') end

-- Tell those who watch. The record names its last event, so that a snapshot and the stream fit together.
local function event(id)
  if field(id, 'parent') then return end -- nobody watches a shard
  local job = redis.call('HMGET', key('job', id), 'status', 'stage', 'progress', 'attempt')
  local data = cjson.encode({
    status = SHOWN[job[1]] or job[1], stage = job[2], progress = tonumber(job[3]), attempt = tonumber(job[4]) })
  local entry = redis.call('XADD', key('events', id), 'MAXLEN', '256', '*', 'data', data)
  redis.call('HSET', key('job', id), 'event', entry)
  keep(key('events', id), life(id))
end

local function join_answer(fields)
  for i = 1, #fields, 2 do
    if fields[i] == 'answer' then
      local result = redis.call('HGET', key('answer', fields[i + 1]), 'result')
      if result then fields[#fields + 1] = 'result'; fields[#fields + 1] = result end
      return fields
    end
  end
  return fields
end

local function record(id) return redis.call('HGETALL', key('job', id)) end
local function whole_record(id) return join_answer(record(id)) end

-- Whose turn counts: a shard's is its job's.
local function owner(id) return field(field(id, 'parent') or id, 'tenant') end

-- Fair turns: `waiting` has all that waits of a kind, `line` that of one tenant in order, `turns` the tenants of a kind
-- that wait, by the number of the turn in which they were served last.
local INTERRUPTED = 1e16 -- microseconds: ahead of all that was never begun
local function join_line(id)
  local kind, tenant, left = field(id, 'kind'), owner(id), life(id)
  local place = number(id, 'attempt') > 0 and number(id, 'created') * 1000 - INTERRUPTED or micros
  mark(key('waiting', kind), number(id, 'created'), id, left)
  mark(key('line', kind, tenant), place, id, left)
  redis.call('ZADD', key('turns', kind), 'NX', redis.call('GET', key('turn')) or 0, tenant)
  keep(key('turns', kind), left)
end

local function leave_line(id)
  local kind, tenant = field(id, 'kind'), owner(id)
  if not kind or redis.call('ZREM', key('waiting', kind), id) == 0 then return end
  local line = key('line', kind, tenant)
  redis.call('ZREM', line, id)
  if redis.call('EXISTS', line) == 0 then redis.call('ZREM', key('turns', kind), tenant) end
end

-- This tenant was served: the others come first now.
local function end_turn(kind, tenant)
  local turn = redis.call('INCR', key('turn'))
  keep(key('turn'), 31536000000)
  redis.call('ZADD', key('turns', kind), 'XX', turn, tenant)
end

-- Waiting: in `open` by its next check, in `queued` by its age. What its shards have found is not measured again.
local function enqueue(id, lease)
  redis.call('ZREM', LEASES, id)
  mark(OPEN, math.min(now + lease, number(id, 'deadline')), id, life(id))
  mark(QUEUED, number(id, 'created'), id, life(id))
  join_line(id)
  if field(id, 'left') == '0' then
    redis.call('HSET', key('job', id), 'status', 'merge')
  else
    redis.call('HSET', key('job', id), 'status', 'queued', 'stage', '', 'progress', '0')
  end
  event(id)
end

local function shard_id(parent, n) return parent .. '.' .. whole(n) end

-- Shards end with their job; a worker that still runs one loses it at its next beat.
local function drop_shards(id)
  for n = 1, number(id, 'shards') or 0 do
    local shard = shard_id(id, n)
    for _, sha256 in pairs(cjson.decode(field(shard, 'arrays') or '{}')) do redis.call('ZREM', PARTS, sha256) end
    leave_line(shard)
    redis.call('ZREM', OPEN, shard)
    redis.call('ZREM', QUEUED, shard)
    redis.call('ZREM', LEASES, shard)
    redis.call('DEL', key('job', shard))
  end
  redis.call('HDEL', key('job', id), 'shards', 'left', 'parts', 'fingerprint')
end

-- The shards would not fit together, or nobody can run them: the job runs in one piece.
local function rejoin(id, lease)
  drop_shards(id)
  redis.call('HSET', key('job', id), 'whole', 1)
  count('rejoined')
  enqueue(id, lease)
end

-- Terminal: written once. Every way to end a job comes through here, removal from `open` included.
-- A shard that cannot go on ends its job.
local function close(id, status, ...)
  id = field(id, 'parent') or id
  local tenant, ttl = field(id, 'tenant'), number(id, 'ttl')
  redis.call('HSET', key('job', id), 'status', status, 'finished', whole(now), ...)
  leave_line(id)
  redis.call('ZREM', OPEN, id)
  redis.call('ZREM', QUEUED, id)
  redis.call('ZREM', LEASES, id)
  redis.call('ZREM', key('active', tenant), id)
  drop_shards(id)
  -- Who was answered at once has nothing to be told: a stream of one event takes 4 kB.
  if field(id, 'event') ~= '0-0' then event(id) end
  redis.call('PEXPIRE', key('job', id), whole(ttl))
  redis.call('PEXPIRE', key('events', id), whole(ttl))
  redis.call('ZADD', key('held', tenant, 'job'), 'XX', whole(now + ttl), id)
  count(status)
end

-- The job's answer is this one from now on, and both live on together.
local function adopt(id, digest)
  local answer, ttl = key('answer', digest), number(id, 'ttl')
  redis.call('HINCRBY', answer, 'refs', 1)
  local named = redis.call('HMGET', answer, 'sha256', 'arrays')
  redis.call('HSET', key('job', id), 'answer', digest, 'sha256', named[1], 'arrays', named[2], 'progress', '1')
  for _, sha256 in pairs(cjson.decode(named[2])) do keep_blob(sha256, ttl) end
  keep(answer, ttl)
  prolong(field(id, 'tenant'), 'result', digest, ttl)
end

-- Someone looks at a job that has ended: its answer lives on with it.
local function use_job(id)
  local ttl = number(id, 'ttl')
  use(key('job', id), ttl, function()
    local job = redis.call('HMGET', key('job', id), 'answer', 'arrays', 'tenant', 'key')
    keep(key('events', id), ttl)
    prolong(job[3], 'job', id, ttl)
    if job[1] then keep(key('answer', job[1]), ttl); prolong(job[3], 'result', job[1], ttl) end
    if job[4] then keep(key('key', job[3], job[4]), ttl) end
    for _, sha256 in pairs(cjson.decode(job[2] or '{}')) do keep_blob(sha256, ttl) end
  end)
end

-- A job that has ended goes, and its answer with it when no other job has that answer.
local function remove(id)
  local tenant, digest, idempotency = field(id, 'tenant'), field(id, 'answer'), field(id, 'key')
  if digest and redis.call('EXISTS', key('answer', digest)) == 1
    and redis.call('HINCRBY', key('answer', digest), 'refs', -1) <= 0 then
    redis.call('DEL', key('answer', digest))
    refund(tenant, 'result', digest)
  end
  if idempotency then redis.call('DEL', key('key', tenant, idempotency)) end
  redis.call('ZREM', list_of(tenant, field(id, 'kind')), id)
  redis.call('ZREM', list_of(tenant), id)
  refund(tenant, 'job', id)
  redis.call('DEL', key('job', id), key('events', id))
end

local function expire(id)
  local outages = field(field(id, 'parent') or id, 'outages')
  close(id, 'expired', 'problem', outages and a.outages_problem or a.deadline_problem)
end

-- A split job has come as far as its shards on average; a shard that is run again does not turn that back.
local function tell_share(id)
  local sum, shards = 0, number(id, 'shards')
  for n = 1, shards do
    local shard = redis.call('HMGET', key('job', shard_id(id, n)), 'stage', 'progress')
    if shard[1] == 'measure' then sum = sum + tonumber(shard[2]) end
  end
  local share = math.floor(sum / shards * 10000) / 10000
  if share > number(id, 'progress') then
    redis.call('HSET', key('job', id), 'progress', tostring(share))
    event(id)
  end
end

-- Whether a worker of this kind lives.
local function lives(fingerprint)
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', WORKERS, '(' .. whole(now), '+inf')) do
    local about = redis.call('GET', key('worker', name))
    if about and string.find(about, fingerprint, 1, true) then return true end -- both in their one spelling
  end
end

local function hold(id) -- the lease begins, or goes on
  mark(LEASES, math.min(now + a.lease, number(id, 'deadline')), id, life(id))
end

local function held(id) -- fencing: only the attempt that holds the lease may write
  return field(id, 'status') == 'running' and number(id, 'attempt') == a.attempt
end

-- Back to the queue, or failed when `what` (crashes, lapses) has happened too often; `counted` is its event's name.
local function give_up_or_requeue(id, what, most, counted)
  count(counted or what)
  if redis.call('HINCRBY', key('job', id), what, 1) >= most then
    close(id, 'failed', 'problem', a[what .. '_problem'])
    return 'failed'
  end
  enqueue(id, a.lease)
  return 'queued'
end
