-- Append updates of a run to the session's stream, in order, each once, and publish those that were appended.
--
-- KEYS: stream, sorted set of sessions, snapshot, one key for each further document
-- ARGV: epoch, began, stepped (0 or 1), ended (0 or 1), seq of the first update, mode, epoch of the run that a new one
--       was decided to replace, ttl in seconds, length of the stream, seconds of silence after which any run may be
--       replaced, session id, channel, the documents, the updates
-- Returns, with nothing written unless it is 'ok':
--   {'ok', last seq stored}
--   {'gap', last seq stored}: updates before the first one are missing, or the mode forbids writing
--   {'taken', last seq stored, first seq that is another writer's}
--   {'superseded', epoch}: a newer run is current
--   {'waiting', epoch}: an earlier run is current, and this one has to report a step first
-- append.py explains the modes; order.py has the rules of replaces(), and a test compares the two.

local epoch, began, stepped, ended = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1', ARGV[4] == '1'
local first, mode, follows, ttl = tonumber(ARGV[5]), ARGV[6], ARGV[7], ARGV[8]
local session, channel = ARGV[11], ARGV[12]
local documents = #KEYS - 2
local updates = 12 + documents
local count = #ARGV - updates
local stamp = redis.call('TIME')
local now = stamp[1] + stamp[2] / 1000000

local HEAD = '^{"type":"progress_update","epoch":"%w+","seq":%d+,"final":(%a+),'

local function origin(update)
  return string.match(update, HEAD .. '"began":(%d+)')
end

-- What the snapshot, or else the newest update, says of the current run.
local function current(newest)
  local stored = redis.call('GET', KEYS[3])
  local found, snapshot = pcall(cjson.decode, stored or '')
  if found and type(snapshot) == 'table' and type(snapshot.epoch) == 'string' then
    if not newest or snapshot.epoch == newest[2][2] then
      local its_began = tonumber(snapshot.began) or 0
      return {snapshot.epoch, its_began, snapshot.stepped ~= false, snapshot.final == true}
    end
  end
  if not newest then return nil end
  local final, its_began = origin(newest[2][4])
  return {newest[2][2], tonumber(its_began) or 0, true, final == 'true'}
end

local function is_over(run)
  return run[4] or now - tonumber(redis.call('ZSCORE', KEYS[2], session) or 0) >= tonumber(ARGV[10])
end

local function replaces(run)
  if began > run[2] or began == run[2] and epoch > run[1] then
    return (stepped or not run[3] or is_over(run)) and 'yes' or 'waiting'
  end
  return stepped and not ended and not run[3] and 'yes' or 'superseded'
end

-- Which of the updates from *from* to *to*, stored already, is the first that differs from the one here: another writer
-- of the run stored it. nil if none does.
local function taken(from, to)
  for _, entry in ipairs(redis.call('XRANGE', KEYS[1], string.format('%d', from), string.format('%d', to))) do
    local seq = tonumber(string.match(entry[1], '^%d+'))
    if entry[2][4] ~= ARGV[updates + seq - first + 1] then return seq end
  end
end

-- An entry's id is <seq>-0; its fields are epoch and data.
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local same_run = newest and newest[2][2] == epoch
local last = same_run and tonumber(string.match(newest[1], '^%d+')) or 0

if mode == 'new' and same_run then return {'gap', last} end
if not same_run then
  local run = current(newest)
  if mode == 'new' and run and run[1] ~= follows and not is_over(run) then return {'gap', 0} end
  local answer = run and run[1] ~= epoch and replaces(run) or 'yes'
  if answer ~= 'yes' then return {answer, run[1]} end
end
local gap = first > last + 1
if gap and mode ~= 'over' then return {'gap', last} end
if first <= last then
  local seq = taken(first, math.min(last, first + count - 1))
  if seq then return {'taken', last, seq} end
  if first + count - 1 <= last then return {'ok', last} end
end

-- Drop the history of another run, and a history of this run that these updates do not directly follow (mode 'over').
if newest and (gap or not same_run) then redis.call('DEL', KEYS[1]) end
for i = 1, documents do redis.call('SET', KEYS[2 + i], ARGV[12 + i], 'EX', ttl) end
for seq = math.max(first, last + 1), first + count - 1 do
  local update = ARGV[updates + seq - first + 1]
  -- %d writes 10^14 and more without an exponent, which tostring() does not.
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[9], string.format('%d-0', seq), 'epoch', epoch, 'data', update)
  redis.call('PUBLISH', channel, update)
end
redis.call('ZADD', KEYS[2], string.format('%.6f', now), session)

-- Renewed at every update, like the documents': policies that evict what expires first must not take a live session's.
redis.call('EXPIRE', KEYS[1], ttl)
redis.call('EXPIRE', KEYS[2], ttl)

-- Removing old sessions at every tenth update is enough.
if gap or count > 1 or last % 10 == 0 then redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - ttl) end
return {'ok', first + count - 1}
