-- purpose: store a loaded value, unless the lease was lost or a fence is open by now
-- KEYS:    [1] value  [2] guard
-- ARGV:    [1] suffix of the part  [2] token of the lease, the version to be  [3] ttl in ms  [4] meta  [5] value
--          [6] ms the load took
-- reply:   'stored' | 'fenced' | 'lease-lost'

local suffix = ARGV[1]
local fences, last = open_fences('')
if last > 0 then
  return 'fenced'
end
if redis.call('HGET', KEYS[2], 'lease' .. suffix) ~= ARGV[2] then
  return 'lease-lost'
end
redis.call('SET', KEYS[1], ARGV[5], 'PX', ARGV[3])
redis.call('HSET', KEYS[2], 'version' .. suffix, ARGV[2], 'meta' .. suffix, ARGV[4], 'load_ms' .. suffix, ARGV[6])
redis.call('HDEL', KEYS[2], 'lease' .. suffix, 'lease_deadline' .. suffix)
keep_guard(tonumber(ARGV[3]))
return 'stored'
