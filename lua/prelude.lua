-- purpose: what the steps share; put before each of them by src/redis/scripts.ts
-- KEYS:    [2] is the guard of the key, a hash: `fence` = "token:deadline token:deadline ...", and per part of the key
--          (suffix "" for the key's own value, "#part" for a part): `version`, `meta`, `load_ms`, `lease`,
--          `lease_deadline`
-- ARGV:    none
-- reply:   none
-- Deadlines are milliseconds of the Redis server's clock, never of an instance's.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- The open fences but `own`, as they are stored, and the last of their deadlines (0 when none is open).
local function open_fences(own)
  local stored = redis.call('HGET', KEYS[2], 'fence')
  local open, last = {}, 0
  if stored then
    for token, deadline in string.gmatch(stored, '(%S+):(%d+)') do
      deadline = tonumber(deadline)
      if deadline > now and token ~= own then
        open[#open + 1] = token .. ':' .. string.format('%.0f', deadline)
        last = math.max(last, deadline)
      end
    end
  end
  return table.concat(open, ' '), last
end

-- Forgets the value, its version, its lease and those of all parts; only the given fences stay.
local function clear(fences, last)
  redis.call('DEL', KEYS[1], KEYS[2])
  if last > 0 then
    redis.call('HSET', KEYS[2], 'fence', fences)
    redis.call('PEXPIREAT', KEYS[2], string.format('%.0f', last))
  end
end

-- The guard lives at least as long as what it guards.
local function keep_guard(ms)
  if redis.call('PTTL', KEYS[2]) < ms then
    redis.call('PEXPIRE', KEYS[2], ms)
  end
end
