-- Append updates of a run to the session's stream, in order, each once, and publish those that were appended.
--
-- KEYS: stream, sorted set of sessions, one key for each document
-- ARGV: epoch, seq of the first update, mode, ttl in seconds, length of the stream, now in seconds since 1970,
--       session id, channel, the documents, the updates
-- Returns {'ok', last seq stored}, or {'gap', last seq stored} if the mode forbids writing; then nothing is written.
-- The modes are explained in append.py; if the mode is a number, nothing is written if a later seq is stored.

local epoch, first, mode, documents = ARGV[1], tonumber(ARGV[2]), ARGV[3], #KEYS - 2
local count = #ARGV - 8 - documents

-- An entry's id is <seq>-0; its first field is the epoch.
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local same_run = newest and newest[2][2] == epoch
local last = same_run and tonumber(string.match(newest[1], '^%d+')) or 0

local gap = first > last + 1
if gap and mode ~= 'over' or mode == 'exact' and first ~= last + 1 then return {'gap', last} end
if mode == 'new' and newest then return {'gap', last} end
if last > (tonumber(mode) or last) then return {'gap', last} end
if first + count - 1 <= last then return {'ok', last} end

-- Drop the history of another run, and a history of this run that these updates do not directly follow (mode 'over').
if newest and (gap or not same_run) then redis.call('DEL', KEYS[1]) end
for i = 1, documents do redis.call('SET', KEYS[2 + i], ARGV[8 + i], 'EX', ARGV[4]) end
for seq = math.max(first, last + 1), first + count - 1 do
  local update = ARGV[8 + documents + seq - first + 1]
  -- %d writes 10^14 and more without an exponent, which tostring() does not.
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[5], string.format('%d-0', seq), 'epoch', epoch, 'data', update)
  redis.call('PUBLISH', ARGV[8], update)
end
redis.call('ZADD', KEYS[2], ARGV[6], ARGV[7])

-- Renewed at every update, as SET does for the documents: under volatile-ttl Redis evicts what expires first.
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[4])

-- Removing old sessions at every tenth update is enough.
if gap or count > 1 or last % 10 == 0 then
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', tonumber(ARGV[6]) - tonumber(ARGV[4]))
end
return {'ok', first + count - 1}
