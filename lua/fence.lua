-- purpose: delete the values and forget all their parts (their bytes stay until they expire, without a version), and
--          keep new ones out until the release or the deadline
-- KEYS:    [1] fence table, then value and guard of each place, each guard once
-- ARGV:    [4] token of the writer  [5] fence in ms
-- reply:   1

make_table_if_lost()
local own = ARGV[4] .. ':' .. digits(now + ARGV[5])
for place = 1, #guards do
  local guard_key = guards[place]
  clear(KEYS[2 * place], guard_key)
  if has_expired(stored[guard_key], ARGV[4]) then
    keep_position('?' .. ARGV[4])
  end
  local others = open_of(stored[guard_key], ARGV[4])
  keep_fences(guard_key, others == '' and own or others .. ' ' .. own)
end

-- What dead writers left behind in names that nobody has written since: once a minute, all that has run out goes.
local tidied_at = tonumber(redis.call('HGET', fences_key, 'tidied_at') or '') or 0
if now - tidied_at > 60000 then
  redis.call('HSET', fences_key, 'tidied_at', digits(now))
  local fields = redis.call('HGETALL', fences_key)
  for index = 1, #fields, 2 do
    if string.sub(fields[index], 1, 1) == '{' and open_of(fields[index + 1], '') == '' then
      keep_position('?' .. ARGV[4])
      redis.call('HDEL', fences_key, fields[index])
    end
  end
end
return 1
