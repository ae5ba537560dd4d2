-- purpose: store a loaded value, unless the lease was lost, a fence is open by now, or one may have been lost
-- KEYS:    [1] fence table  [2] value  [3] guard
-- ARGV:    [4] suffix of the part  [5] token of the lease, the version to be  [6] ttl in ms  [7] meta  [8] value
--          [9] ms the load took
-- reply:   'stored' | 'fenced' | 'lease-lost' | 'unsettled'

local suffix = ARGV[4]
if not settled then
  return 'unsettled'
end
if open_of(stored, '') ~= '' then
  return 'fenced'
end
if redis.call('HGET', guard_key, 'lease' .. suffix) ~= ARGV[5] then
  return 'lease-lost'
end
redis.call('SET', value_key, ARGV[8], 'PX', ARGV[6])
redis.call('HSET', guard_key, 'version' .. suffix, ARGV[5], 'meta' .. suffix, ARGV[7], 'load_ms' .. suffix, ARGV[9])
redis.call('HDEL', guard_key, 'lease' .. suffix, 'lease_deadline' .. suffix)
keep_guard(tonumber(ARGV[6]))
wake()
return 'stored'
