-- purpose: read what follows a position of the event log
-- KEYS:    [1] stream  [2] state
-- ARGV:    [4] epoch and  [5] offset of the position; '' and 0 to learn where the log ends  [6] most entries to read
-- reply:   {epoch, tail} when the log does not hold all that follows, or {epoch, tail, {{id, {field, value, ...}}, ...}}

local offset = tonumber(ARGV[5])
local place = { epoch, digits(tail) }
if ARGV[4] ~= epoch or offset < first or offset > tail then
  return place
end
if offset == tail then
  place[3] = {}
  return place
end
local entries = redis.call('XRANGE', stream_key, digits(offset) .. '-1', '+', 'COUNT', ARGV[6])
-- The stream is gone without its state: run out, or evicted.
if #entries > 0 then
  place[3] = entries
end
return place
