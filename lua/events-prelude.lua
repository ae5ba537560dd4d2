-- purpose: what the steps of the event log share; put before each of them by src/redis/event-scripts.ts
-- KEYS:    [1] stream of the events; the id of an entry is its offset, `offset-0`, and its fields are e (event), d (data),
--          v (version), r (rooms, between blanks), t (time it was appended)
--          [2] state, a hash: `ground`, what the epoch stands on; `epoch`; `counter`, the largest number given out, as a
--          version or as an offset; `tail`, the offset of the last entry; `first`, the offset behind which all entries are
--          still there; `bytes`, what the entries take; `feed_source` and `feed_mark`, what came last from a change feed
-- ARGV:    [1] what must be the same throughout an epoch: run of the server, claim, database
--          [2] epoch to begin where there is none on this ground  [3] channel on which the followers are told
--          Those of each step begin at [4].
-- reply:   none
-- A state that is not there, or stands on other ground, tells that memory was lost or that others wrote elsewhere meanwhile.

local stream_key, state_key = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function digits(number)
  return string.format('%.0f', number)
end

-- What is broken, or was put there by somebody else, is as good as lost.
local ground, epoch, counter, tail, first, bytes = unpack(redis.pcall('HMGET', state_key, 'ground', 'epoch', 'counter', 'tail', 'first', 'bytes'))
local kind = redis.call('TYPE', stream_key).ok

local function begin_epoch()
  redis.call('DEL', stream_key, state_key)
  epoch, counter, tail, first, bytes = ARGV[2], 0, 0, 0, 0
  redis.call('HSET', state_key, 'ground', ARGV[1], 'epoch', epoch, 'counter', 0, 'tail', 0, 'first', 0, 'bytes', 0)
end

counter, tail, first, bytes = tonumber(counter or ''), tonumber(tail or ''), tonumber(first or ''), tonumber(bytes or '')
local is_whole = epoch and counter and tail and first and bytes and (kind == 'stream' or kind == 'none')
if ground ~= ARGV[1] or not is_whole then
  begin_epoch()
end

-- Followers look by themselves too, so that a user who may not publish (ACL) only makes them slower.
local function tell()
  redis.pcall('PUBLISH', ARGV[3], epoch)
end
