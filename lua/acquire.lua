-- purpose: decide what readers that missed do next, and give them the lease where it is free
-- KEYS:    [1] fence table, then value and guard of each place
-- ARGV:    [4] what a trusted version begins with  [5] most fields of a guard  [6] channel of the instance, to be woken by
--          then for each place: suffix of the part, new token, lease in ms, '1' to load anew a value that is there, else '0',
--          '1' when a version without bytes is an answer, else '0'
-- reply:   for each place: {'hit', version, meta, ms the load took, ttl in ms, sum, value} | {'version', version, meta, ms the
--          load took, ttl in ms} | {'lease', position} | {'wait', ms left} | {'bypass'} | {'unsettled', epoch} | {'failed', reason}

local trusted, channel = ARGV[4], ARGV[6]

return at_each(function(value_key, guard_key, place)
  local suffix, token, lease_ms, renews, composes = unpack(ARGV, 2 + 5 * place, 6 + 5 * place)
  local renew = renews == '1'
  local version, meta, lease, lease_deadline, load_ms, sum = unpack(redis.call('HMGET', guard_key, 'version' .. suffix, 'meta' .. suffix, 'lease' .. suffix, 'lease_deadline' .. suffix, 'load_ms' .. suffix, 'sum' .. suffix))

  -- A version of another run of the server may stand for an entry whose deletion this server never saw.
  if not renew and version and string.sub(version, 1, #trusted) == trusted then
    -- Who can put it together has most of it: all of it at once may be too much for one reply.
    local expires = composes == '1' and tonumber(redis.call('HGET', guard_key, 'expires' .. suffix) or 0) or 0
    if expires > now then
      return { 'version', version, meta, load_ms, expires - now }
    end
    local value, ttl = redis.call('GET', value_key), redis.call('PTTL', value_key)
    if value and ttl > 0 then
      return { 'hit', version, meta, load_ms, ttl, sum, value }
    end
  end

  if not settled then
    make_table_if_lost()
    return { 'unsettled', epoch }
  end
  if open_of(stored[guard_key], '') ~= '' then
    return { 'bypass' }
  end
  if has_expired(stored[guard_key], '') then
    keep_position('?' .. token)
    keep_fences(guard_key, '')
  end

  if lease and tonumber(lease_deadline) > now then
    local waiters = redis.call('HGET', guard_key, 'waiters') or ''
    -- There are as many channels as instances; those of dead ones must not pile up.
    if not string.find(waiters, channel, 1, true) and #waiters < 4096 then
      redis.call('HSET', guard_key, 'waiters', waiters .. ' ' .. channel)
    end
    return { 'wait', tonumber(lease_deadline) - now }
  end

  -- Parts come from requests (pages of a list), so their number must have a bound: start over when it is reached.
  if suffix ~= '' and redis.call('HLEN', guard_key) >= tonumber(ARGV[5]) then
    clear(value_key, guard_key)
  end

  if version and not renew then
    redis.call('HDEL', guard_key, 'version' .. suffix, 'meta' .. suffix, 'load_ms' .. suffix, 'sum' .. suffix, 'expires' .. suffix)
  end
  redis.call('HSET', guard_key, 'lease' .. suffix, token, 'lease_deadline' .. suffix, digits(now + lease_ms))
  keep_guard(guard_key, tonumber(lease_ms))
  return { 'lease', position }
end)
