-- purpose: delete the value and forget all its parts (their bytes stay until they expire, without a version), and
--          take away this writer's own fence; those of others stay
-- KEYS:    [1] value  [2] guard
-- ARGV:    [1] token of the writer (one that was never used just invalidates)
-- reply:   1

clear(open_fences(ARGV[1]))
return 1
