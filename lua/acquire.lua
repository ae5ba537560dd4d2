-- purpose: decide what a reader that missed does next, and give it the lease when it is free
-- KEYS:    [1] fence table  [2] value  [3] guard
-- ARGV:    [4] suffix of the part  [5] what a trusted version begins with  [6] new token  [7] lease in ms
--          [8] most fields of a guard  [9] '1' to load anew a value that is there, else '0'
--          [10] channel of the instance, to be woken by
-- reply:   {'hit', version, meta, ms the load took, ttl in ms, value} | {'lease'} | {'wait', ms left} | {'bypass'}
--          | {'unsettled', epoch}

local suffix, trusted, renew = ARGV[4], ARGV[5], ARGV[9] == '1'
local version, meta, lease, lease_deadline, load_ms = unpack(redis.call('HMGET', guard_key, 'version' .. suffix, 'meta' .. suffix, 'lease' .. suffix, 'lease_deadline' .. suffix, 'load_ms' .. suffix))

-- A version of another run of the server may stand for an entry whose deletion this server never saw.
if not renew and version and string.sub(version, 1, #trusted) == trusted then
  local value, ttl = redis.call('GET', value_key), redis.call('PTTL', value_key)
  if value and ttl > 0 then
    return { 'hit', version, meta or '', tonumber(load_ms or 0), ttl, value }
  end
end

if not settled then
  make_table_if_lost()
  return { 'unsettled', epoch }
end
if open_of(stored, '') ~= '' then
  return { 'bypass' }
end

if lease and tonumber(lease_deadline) > now then
  local waiters = redis.call('HGET', guard_key, 'waiters') or ''
  -- There are as many channels as instances; those of dead ones must not pile up.
  if not string.find(waiters, ARGV[10], 1, true) and #waiters < 4096 then
    redis.call('HSET', guard_key, 'waiters', waiters .. ' ' .. ARGV[10])
  end
  return { 'wait', tonumber(lease_deadline) - now }
end

-- Parts come from requests (pages of a list), so their number must have a bound: start over when it is reached.
if suffix ~= '' and redis.call('HLEN', guard_key) >= tonumber(ARGV[8]) then
  clear()
end

if not renew then
  redis.call('HDEL', guard_key, 'version' .. suffix, 'meta' .. suffix, 'load_ms' .. suffix)
end
redis.call('HSET', guard_key, 'lease' .. suffix, ARGV[6], 'lease_deadline' .. suffix, digits(now + ARGV[7]))
keep_guard(tonumber(ARGV[7]))
return { 'lease' }
