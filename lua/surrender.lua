-- purpose: give a lease back without a value, so that others need not wait for its deadline
-- KEYS:    [1] value  [2] guard
-- ARGV:    [1] suffix of the part  [2] token of the lease
-- reply:   1 when the lease was still this token's, else 0

if redis.call('HGET', KEYS[2], 'lease' .. ARGV[1]) ~= ARGV[2] then
  return 0
end
redis.call('HDEL', KEYS[2], 'lease' .. ARGV[1], 'lease_deadline' .. ARGV[1])
return 1
