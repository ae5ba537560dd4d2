-- purpose: let the bytes of a version that was filled without be its value, if it is still the current one
-- KEYS:    [1] fence table  [2] value  [3] guard  [4] the bytes, as they were written bit by bit under a key of their own
-- ARGV:    [4] suffix of the part  [5] version  [6] checksum of the bytes
-- reply:   1 when it was, else 0

local value_key, guard_key = KEYS[2], guards[1]
local version, expires = unpack(redis.call('HMGET', guard_key, 'version' .. ARGV[4], 'expires' .. ARGV[4]))
local left = (tonumber(expires or 0) or 0) - now
-- Bytes that were lost on the way, and then begun in the middle, have no time to live: that is given with the first.
if version ~= ARGV[5] or left <= 0 or redis.call('PTTL', KEYS[4]) <= 0 then
  redis.call('DEL', KEYS[4])
  return 0
end
redis.call('RENAME', KEYS[4], value_key)
redis.call('PEXPIRE', value_key, digits(left))
redis.call('HSET', guards[1], 'sum' .. ARGV[4], ARGV[6])
return 1
