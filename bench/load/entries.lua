-- purpose: cache posts without reading them: many entries like one that is there, to see what their number costs
-- KEYS:    none; they are made of ids, on a server of the benchmark's own
-- ARGV:    [1] id of the entry that is there  [2] first id  [3] last id  [4] time to live in ms
-- reply:   1

local value = redis.call('GET', 'post:' .. ARGV[1])
local guard = redis.call('HMGET', '{post:' .. ARGV[1] .. '}:guard', 'version', 'meta')
local time = string.format('%d', ARGV[4])
for id = tonumber(ARGV[2]), tonumber(ARGV[3]) do
  local key = string.format('post:%d', id)
  redis.call('SET', key, value, 'PX', time)
  redis.call('HSET', '{' .. key .. '}:guard', 'version', guard[1] .. key, 'meta', guard[2], 'load_ms', '1')
  redis.call('PEXPIRE', '{' .. key .. '}:guard', time)
end
return 1
