-- Prefix of every script: keys, time, and the steps that several transitions share.
-- KEYS[1] is the namespace, ARGV[1] the named arguments as JSON; bytes follow as further ARGV.
local space = KEYS[1]
local a = cjson.decode(ARGV[1])

local function key(...) return space .. ':' .. table.concat({...}, ':') end
local OPEN, QUEUED, WORKERS = key('open'), key('queued'), key('workers')
local FINGERPRINTS, BLOBS, TALLY = key('fingerprints'), key('blobs'), key('tally')

-- Redis' own clock, so that a worker whose clock is an hour off changes nothing.
local clock = redis.call('TIME')
local function whole(number) return string.format('%.0f', number) end
local micros = clock[1] * 1000000 + clock[2]
local now = math.floor(micros / 1000)

-- Every key has a TTL, and using it only ever makes it longer.
local function keep(name, milliseconds)
  if redis.call('PTTL', name) < milliseconds then redis.call('PEXPIRE', name, whole(milliseconds)) end
end

local function mark(set, score, member, milliseconds)
  redis.call('ZADD', set, whole(score), member)
  keep(set, milliseconds)
end

local function count(what)
  redis.call('HINCRBY', TALLY, what, 1)
  keep(TALLY, 31536000000)
end

local function keep_blob(sha256, milliseconds)
  local known = tonumber(redis.call('ZSCORE', BLOBS, sha256) or 0)
  if known < now + milliseconds then mark(BLOBS, now + milliseconds, sha256, milliseconds) end
end

local function field(id, name) return redis.call('HGET', key('job', id), name) end
local function number(id, name) return tonumber(field(id, name)) end

local function life(id) return math.max(number(id, 'deadline') - now, 0) + number(id, 'ttl') end

-- Tell those who watch. The record names its last event, so that a snapshot and the stream fit together.
local function event(id)
  local job = redis.call('HMGET', key('job', id), 'status', 'stage', 'progress', 'attempt')
  local data = cjson.encode({
    status = job[1], stage = job[2], progress = tonumber(job[3]), attempt = tonumber(job[4]) })
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

-- Waiting: in `open` by its next check, in `queued` by its age.
local function enqueue(id, lease)
  mark(OPEN, math.min(now + lease, number(id, 'deadline')), id, life(id))
  mark(QUEUED, number(id, 'created'), id, life(id))
  redis.call('HSET', key('job', id), 'status', 'queued', 'stage', '', 'progress', '0')
  event(id)
end

-- Terminal: written once. Every way to end a job comes through here, removal from `open` included.
local function close(id, status, ...)
  local tenant, ttl = field(id, 'tenant'), number(id, 'ttl')
  redis.call('HSET', key('job', id), 'status', status, 'finished', whole(now), ...)
  redis.call('ZREM', OPEN, id)
  redis.call('ZREM', QUEUED, id)
  redis.call('ZREM', key('active', tenant), id)
  event(id)
  redis.call('PEXPIRE', key('job', id), whole(ttl))
  redis.call('PEXPIRE', key('events', id), whole(ttl))
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
end

local function expire(id) close(id, 'expired', 'problem', a.deadline_problem) end

local function held(id) -- fencing: only the attempt that holds the lease may write
  return field(id, 'status') == 'running' and number(id, 'attempt') == a.attempt
end

-- Back to the queue, or failed when `what` (crashes, lapses) has happened too often.
local function give_up_or_requeue(id, what, most)
  count(what)
  if redis.call('HINCRBY', key('job', id), what, 1) >= most then
    close(id, 'failed', 'problem', a.crash_problem)
    return 'failed'
  end
  enqueue(id, a.lease)
  return 'queued'
end
