-- purpose: give a lease back without a value, so that others need not wait for its deadline
-- KEYS:    [1] fence table  [2] value  [3] guard
-- ARGV:    [4] suffix of the part  [5] token of the lease
-- reply:   1 when the lease was still this token's, else 0

local guard_key = guards[1]
local lease, waiters = unpack(redis.call('HMGET', guard_key, 'lease' .. ARGV[4], 'waiters'))
if lease ~= ARGV[5] then
  return 0
end
redis.call('HDEL', guard_key, 'lease' .. ARGV[4], 'lease_deadline' .. ARGV[4])
wake(guard_key, waiters)
return 1
