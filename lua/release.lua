-- purpose: delete the values and forget all their parts (their bytes stay until they expire, without a version), and
--          take away this writer's own fence; those of others stay
-- KEYS:    [1] fence table, then value and guard of each place, each guard once
-- ARGV:    [4] token of the writer (one that was never used just invalidates)  [5] what was committed: its position, '?' where
--          nobody knows it, '' for nothing
-- reply:   1

-- First: once a fence is gone, loads go by this.
if ARGV[5] == '?' then
  keep_position('?' .. ARGV[4])
elseif ARGV[5] ~= '' then
  advance(ARGV[5], ARGV[4])
end
for place = 1, #guards do
  local guard_key = guards[place]
  clear(KEYS[2 * place], guard_key)
  if has_expired(stored[guard_key], ARGV[4]) then
    keep_position('?' .. ARGV[4])
  end
  keep_fences(guard_key, open_of(stored[guard_key], ARGV[4]))
end
return 1
