-- purpose: what the steps share; put before each of them by src/redis/scripts.ts
-- KEYS:    [1] fence table, then value and guard of each place, in turn   (settle.lua has the table alone)
--          The guard is a hash per name: `waiters` = "channel channel ..." of instances that wait for a loader, and per
--          part of the name (suffix "" for the name's own value, "#part" for a part): `version`, `meta`, `load_ms`,
--          `sum` (checksums: src/redis/seal.ts), `lease`, `lease_deadline`; `expires`, the time at which a version ends that was filled without bytes.
--          The fence table is one hash for all names of a server (of a slot, in a cluster): `run`, the run id of the server
--          that it was made on; `epoch`, unique to this table; `opens_at`, 0 or the time before which nothing may be
--          filled; `position`, see below; and per fenced name (by the name of its guard) "token:deadline token:deadline ...".
-- ARGV:    [1] run id of this server  [2] epoch of a table to be made  [3] ms that a new table stays shut
--          Those of each step begin at [4].
-- reply:   none
-- Deadlines are milliseconds of the Redis server's clock, never of an instance's.
-- A step takes several places at once: to call a script costs more than what it does at one of them. The same guard may be
-- there more than once, with parts of its name.

local fences_key = KEYS[1]
local guards = {}
for index = 3, #KEYS, 2 do
  guards[#guards + 1] = KEYS[index]
end
local run = ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function digits(number)
  return string.format('%.0f', number)
end

-- A table that is not there, or was made on another run of the server, tells that memory was lost (FLUSHALL, eviction, a
-- restart, a promotion), and with it perhaps fences whose COMMIT is still out. All fences are in one hash, and every miss
-- touches it, so that none of them can be lost without this trace.
-- One that somebody else has put there or broken is as good as lost.
local state = redis.pcall('HMGET', fences_key, 'run', 'epoch', 'opens_at', 'position', unpack(guards))
local epoch, opens_at = state[2], tonumber(state[3] or '')
local lost = state[1] ~= run or not epoch or not opens_at
local settled = not lost and opens_at <= now
-- The fences of each guard, as they are stored; `false` where there are none.
local stored = {}
for place = 1, #guards do
  stored[guards[place]] = not lost and state[place + 4]
end

-- How far a replica of the database must have come to show all that was released here: "stream number" of the latest commit.
-- It begins with '?' where that is not known, each time with another mark, so that who finds it out knows what it stands for.
-- It is kept with the fences and not in the guards, because a guard may be evicted: then the next load would not know.
-- Of a table where nothing was found out yet, its epoch is the mark.
local position = not lost and (state[4] or '?' .. epoch) or '?'

local function keep_position(text)
  position = text
  if not lost then
    redis.call('HSET', fences_key, 'position', text)
  end
end

-- The later one of two in a stream; of two streams nobody knows. What is not known stays so, with another mark: who is finding it
-- out may have looked before this commit.
local function advance(committed, mark)
  local stream, number = string.match(committed, '(.*) (%d+)')
  local latest_stream, latest = string.match(position, '(.*) (%d+)')
  if string.sub(position, 1, 1) == '?' or latest_stream ~= stream then
    keep_position('?' .. mark)
  elseif tonumber(number) > tonumber(latest) then
    keep_position(committed)
  end
end

-- Whether a fence of `text` has run out: its writer died, or does not know whether its COMMIT took effect.
local function has_expired(text, own)
  if text then
    for token, deadline in string.gmatch(text, '(%S+):(%d+)') do
      if tonumber(deadline) <= now and token ~= own then
        return true
      end
    end
  end
  return false
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
  if not text then
    return ''
  end
  local open = {}
  for token, deadline in string.gmatch(text, '(%S+):(%d+)') do
    if tonumber(deadline) > now and token ~= own then
      open[#open + 1] = token .. ':' .. deadline
    end
  end
  return table.concat(open, ' ')
end

local function keep_fences(guard_key, open)
  if open ~= '' then
    redis.call('HSET', fences_key, guard_key, open)
  elseif stored[guard_key] then
    redis.call('HDEL', fences_key, guard_key)
  end
end

-- Tells the instances that wait for a loader of this name to ask again. They ask by themselves too, so that a user who
-- may not publish (ACL) only makes them slower.
local function wake(guard_key, waiters)
  if waiters then
    redis.call('HDEL', guard_key, 'waiters')
    for channel in string.gmatch(waiters, '%S+') do
      redis.pcall('PUBLISH', channel, guard_key)
    end
  end
end

-- Forgets the value, and version and lease of all parts. What somebody else has put in the place of a guard goes as well.
local function clear(value_key, guard_key)
  local waiters = redis.pcall('HGET', guard_key, 'waiters')
  if type(waiters) == 'string' then
    wake(guard_key, waiters)
  end
  redis.call('DEL', value_key, guard_key)
end

-- The guard lives at least as long as what it guards.
local function keep_guard(guard_key, ms)
  if redis.call('PTTL', guard_key) < ms then
    redis.call('PEXPIRE', guard_key, ms)
  end
end

-- A reply for each place. What is wrong with one place, a foreign type under its key, is no concern of the others. It is taken
-- away, so that the next step finds nothing there: fences are elsewhere, and a version or a lease it is not.
local function at_each(step)
  local replies = {}
  for place = 1, #guards do
    local done, reply = pcall(step, KEYS[2 * place], guards[place], place)
    if not done then
      -- A text, or a table with one, depending on the version of Redis.
      local reason = type(reply) == 'table' and reply.err or reply
      if not string.find(reason, 'WRONGTYPE', 1, true) then
        return { err = reason }
      end
      redis.call('DEL', KEYS[2 * place], guards[place])
      reply = { 'failed', reason }
    end
    replies[place] = reply
  end
  return replies
end
