-- purpose: cache posts without reading them: many entries like one that is there, to see what their number costs
-- KEYS:    none; they are made of ids, on a server of the benchmark's own
-- ARGV:    [1] id of the entry that is there  [2] first id  [3] time to live in ms
--          then for each post: version, what stands beside it, checksum of the bytes
-- reply:   1

local value = redis.call('GET', 'post:' .. ARGV[1])
local time = string.format('%d', ARGV[3])
for at = 4, #ARGV, 3 do
  local key = string.format('post:%d', ARGV[2] + (at - 4) / 3)
  redis.call('SET', key, value, 'PX', time)
  redis.call('HSET', '{' .. key .. '}:guard', 'version', ARGV[at], 'meta', ARGV[at + 1], 'load_ms', '1', 'sum', ARGV[at + 2])
  redis.call('PEXPIRE', '{' .. key .. '}:guard', time)
end
return 1
