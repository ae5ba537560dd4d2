-- purpose: decide what a reader that missed does next, and give it the lease when it is free
-- KEYS:    [1] value  [2] guard
-- ARGV:    [1] suffix of the part  [2] run id of this server  [3] new token  [4] lease in ms  [5] most fields of a guard
--          [6] '1' to load anew a value that is there, else '0'
-- reply:   {'hit', version, meta, ms the load took, ttl in ms, value} | {'lease'} | {'wait', ms left} | {'bypass'}

local suffix = ARGV[1]
local guard = redis.call('HMGET', KEYS[2], 'version' .. suffix, 'meta' .. suffix, 'lease' .. suffix, 'lease_deadline' .. suffix, 'load_ms' .. suffix)

-- A version of another run of the server may stand for an entry whose deletion this server never saw.
local trusted = guard[1] and string.sub(guard[1], 1, #ARGV[2] + 1) == ARGV[2] .. '.'
if trusted and ARGV[6] == '0' then
  local value, ttl = redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])
  if value and ttl > 0 then
    return { 'hit', guard[1], guard[2] or '', tonumber(guard[5] or 0), ttl, value }
  end
end

local fences, last = open_fences('')
if last > 0 then
  return { 'bypass' }
end

if guard[3] and tonumber(guard[4]) > now then
  return { 'wait', tonumber(guard[4]) - now }
end

-- Parts come from requests (pages of a list), so their number must have a bound: start over when it is reached.
if suffix ~= '' and redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[5]) then
  clear('', 0)
end

if ARGV[6] == '0' then
  redis.call('HDEL', KEYS[2], 'version' .. suffix, 'meta' .. suffix, 'load_ms' .. suffix)
end
redis.call('HSET', KEYS[2], 'lease' .. suffix, ARGV[3], 'lease_deadline' .. suffix, string.format('%.0f', now + ARGV[4]))
keep_guard(tonumber(ARGV[4]))
return { 'lease' }
