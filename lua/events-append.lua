-- purpose: append events to the event log, and forget the oldest beyond its bounds
-- KEYS:    [1] stream  [2] state
-- ARGV:    [4] most entries  [5] most bytes  [6] longest age in ms  [7] change feed the events come from, or ''
--          and for each event: name, data, version or '', epoch of the version, rooms between blanks, mark or ''
-- reply:   none

local most_entries, most_bytes, longest_ms, source = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local known_source, known_mark = unpack(redis.call('HMGET', state_key, 'feed_source', 'feed_mark'))
local last_mark = source ~= '' and known_source == source and known_mark or ''

local function size_of(event, data, rooms)
  return #event + #data + #rooms + 100
end

local length = redis.call('XLEN', stream_key)
if length == 0 then
  -- Run out, or evicted without the state.
  first, bytes = tail, 0
end

-- Returns the error of one that could not be added.
local function add_all()
  for at = 8, #ARGV, 6 do
    local event, data, version, version_epoch, rooms, mark = unpack(ARGV, at, at + 5)
    -- A feed that starts anew repeats what it had already told.
    if source == '' or mark > last_mark then
      counter = counter + 1
      if version == '' or version_epoch ~= epoch then
        version = digits(counter)
      end
      local id = digits(counter) .. '-0'
      local added = redis.pcall('XADD', stream_key, id, 'e', event, 'd', data, 'v', version, 'r', rooms, 't', digits(now))
      if type(added) == 'table' then
        return added
      end
      tail = counter
      length = length + 1
      bytes = bytes + size_of(event, data, rooms)
      if source ~= '' then
        last_mark = mark
      end
    end
  end
end

local failed = add_all()
-- Somebody else has added an entry, with an id that is larger than ours.
if failed and string.find(failed.err, 'smaller than', 1, true) then
  begin_epoch()
  length = 0
  failed = add_all()
end
if failed then
  return failed
end

while length > 0 do
  local oldest = redis.call('XRANGE', stream_key, '-', '+', 'COUNT', 1)[1]
  local fields = oldest[2]
  local is_ours = #fields == 10 and tonumber(fields[10])
  if is_ours and length <= most_entries and bytes <= most_bytes and is_ours >= now - longest_ms then
    break
  end
  redis.call('XDEL', stream_key, oldest[1])
  length = length - 1
  bytes = bytes - (is_ours and size_of(fields[2], fields[4], fields[8]) or 0)
  first = tonumber(string.match(oldest[1], '^%d+'))
end

redis.call('HSET', state_key, 'counter', digits(counter), 'tail', digits(tail), 'first', digits(first), 'bytes', digits(bytes))
if source ~= '' then
  redis.call('HSET', state_key, 'feed_source', source, 'feed_mark', last_mark)
end
redis.call('PEXPIRE', stream_key, longest_ms)
tell()
