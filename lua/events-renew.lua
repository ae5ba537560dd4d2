-- purpose: begin another epoch, because something happened that the log does not hold
-- KEYS:    [1] stream  [2] state
-- ARGV:    none of its own
-- reply:   none

begin_epoch()
tell()
