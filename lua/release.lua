-- purpose: delete the value and forget all its parts (their bytes stay until they expire, without a version), and
--          take away this writer's own fence; those of others stay
-- KEYS:    [1] fence table  [2] value  [3] guard
-- ARGV:    [4] token of the writer (one that was never used just invalidates)
-- reply:   1

clear()
keep_fences(open_of(stored, ARGV[4]))
return 1
