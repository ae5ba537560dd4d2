-- purpose: what the steps share; put before each of them by src/redis/scripts.ts
-- KEYS:    [1] fence table  [2] value  [3] guard   (settle.lua has the table alone)
--          The guard is a hash per name: `waiters` = "channel channel ..." of instances that wait for a loader, and per
--          part of the name (suffix "" for the name's own value, "#part" for a part): `version`, `meta`, `load_ms`,
--          `lease`, `lease_deadline`.
--          The fence table is one hash for all names of a server (of a slot, in a cluster): `run`, the run id of the server
--          that it was made on; `epoch`, unique to this table; `opens_at`, 0 or the time before which nothing may be
--          filled; and per fenced name (by the name of its guard) "token:deadline token:deadline ...".
-- ARGV:    [1] run id of this server  [2] epoch of a table to be made  [3] ms that a new table stays shut
--          Those of each step begin at [4].
-- reply:   none
-- Deadlines are milliseconds of the Redis server's clock, never of an instance's.

local fences_key, value_key, guard_key = KEYS[1], KEYS[2], KEYS[3]
local run = ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function digits(number)
  return string.format('%.0f', number)
end

-- A table that is not there, or was made on another run of the server, tells that memory was lost (FLUSHALL, eviction, a
-- restart, a promotion), and with it perhaps fences whose COMMIT is still out. All fences are in one hash, and every miss
-- touches it, so that none of them can be lost without this trace.
local table_run, epoch, opens_at, stored = unpack(redis.call('HMGET', fences_key, 'run', 'epoch', 'opens_at', guard_key or ''))
local lost = table_run ~= run
local settled = not lost and tonumber(opens_at) <= now
if lost then
  stored = false
end

-- A new table is shut until `settle`, or until every COMMIT that was out when the old one was lost has ended.
local function make_table_if_lost()
  if lost then
    redis.call('DEL', fences_key)
    epoch = ARGV[2]
    redis.call('HSET', fences_key, 'run', run, 'epoch', epoch, 'opens_at', digits(now + ARGV[3]))
    lost = false
  end
end

-- Those of `text` that are still open, but `own`: as they are stored, or ''.
local function open_of(text, own)
  local open = {}
  for token, deadline in string.gmatch(text or '', '(%S+):(%d+)') do
    if tonumber(deadline) > now and token ~= own then
      open[#open + 1] = token .. ':' .. deadline
    end
  end
  return table.concat(open, ' ')
end

local function keep_fences(open)
  if open ~= '' then
    redis.call('HSET', fences_key, guard_key, open)
  elseif stored then
    redis.call('HDEL', fences_key, guard_key)
  end
end

-- Tells the instances that wait for a loader of this name to ask again. They ask by themselves too, so that a user who
-- may not publish (ACL) only makes them slower.
local function wake()
  local waiters = redis.call('HGET', guard_key, 'waiters')
  if waiters then
    redis.call('HDEL', guard_key, 'waiters')
    for channel in string.gmatch(waiters, '%S+') do
      redis.pcall('PUBLISH', channel, guard_key)
    end
  end
end

-- Forgets the value, and version and lease of all parts.
local function clear()
  wake()
  redis.call('DEL', value_key, guard_key)
end

-- The guard lives at least as long as what it guards.
local function keep_guard(ms)
  if redis.call('PTTL', guard_key) < ms then
    redis.call('PEXPIRE', guard_key, ms)
  end
end
