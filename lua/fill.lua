-- purpose: store loaded values, unless the lease was lost, a fence is open by now, or one may have been lost
-- KEYS:    [1] fence table, then value and guard of each place
-- ARGV:    for each place: suffix of the part, token of the lease (the version to be), ttl in ms, meta, value, ms the load took,
--          checksum of the value, or '' to store the version alone, the position that came with the lease, what was found out
--          to stand there, or ''
-- reply:   for each place: 'stored' | 'fenced' | 'lease-lost' | 'unsettled' | {'failed', reason}

return at_each(function(value_key, guard_key, place)
  local suffix, token, ttl, meta, value, load_ms, sum, mark, found = unpack(ARGV, 9 * place - 5, 9 * place + 3)
  if not settled then
    return 'unsettled'
  end
  -- Whether or not the value is stored: it was found out after the mark was set.
  if found ~= '' and position == mark then
    keep_position(found)
  end
  if open_of(stored[guard_key], '') ~= '' then
    return 'fenced'
  end
  local lease, waiters = unpack(redis.call('HMGET', guard_key, 'lease' .. suffix, 'waiters'))
  if lease ~= token then
    return 'lease-lost'
  end
  if sum ~= '' then
    redis.call('SET', value_key, value, 'PX', ttl)
    redis.call('HSET', guard_key, 'sum' .. suffix, sum)
    redis.call('HDEL', guard_key, 'lease' .. suffix, 'lease_deadline' .. suffix, 'expires' .. suffix)
  else
    redis.call('DEL', value_key)
    redis.call('HDEL', guard_key, 'lease' .. suffix, 'lease_deadline' .. suffix, 'sum' .. suffix)
    redis.call('HSET', guard_key, 'expires' .. suffix, digits(now + ttl))
  end
  redis.call('HSET', guard_key, 'version' .. suffix, token, 'meta' .. suffix, meta, 'load_ms' .. suffix, load_ms)
  keep_guard(guard_key, tonumber(ttl))
  wake(guard_key, waiters)
  return 'stored'
end)
