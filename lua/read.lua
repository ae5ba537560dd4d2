-- purpose: read the values of several keys, each with what belongs to it, as of one moment
-- KEYS:    for each key: value, guard
-- ARGV:    [1] bytes from which on a value is left out  [2...] for each key: suffix of the part
-- reply:   for each key: {version, meta, ms the load took, ttl in ms, sum, value} | 0 when there is none (or it is empty) | 1 when it was left out

local reply = {}
for at = 1, #KEYS / 2 do
  local value_key, suffix = KEYS[2 * at - 1], ARGV[at + 1]
  local version, meta, load_ms, sum = unpack(redis.call('HMGET', KEYS[2 * at], 'version' .. suffix, 'meta' .. suffix, 'load_ms' .. suffix, 'sum' .. suffix))
  local length = version and redis.call('STRLEN', value_key) or 0
  if length == 0 then
    reply[at] = 0
  elseif length >= tonumber(ARGV[1]) then
    reply[at] = 1
  else
    reply[at] = { version, meta, load_ms, redis.call('PTTL', value_key), sum, redis.call('GET', value_key) }
  end
end
return reply
