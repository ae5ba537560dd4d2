-- purpose: delete the values and forget all their parts (their bytes stay until they expire, without a version), and
--          take away this writer's own fence; those of others stay
-- KEYS:    [1] fence table, then value and guard of each place, each guard once
-- ARGV:    [4] token of the writer (one that was never used just invalidates)
-- reply:   1

for place = 1, #guards do
  local guard_key = guards[place]
  clear(KEYS[2 * place], guard_key)
  keep_fences(guard_key, open_of(stored[guard_key], ARGV[4]))
end
return 1
