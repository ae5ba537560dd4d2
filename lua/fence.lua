-- purpose: delete the value and forget all its parts (their bytes stay until they expire, without a version), and
--          keep new ones out until the release or the deadline
-- KEYS:    [1] value  [2] guard
-- ARGV:    [1] token of the writer  [2] fence in ms
-- reply:   1

local fences, last = open_fences(ARGV[1])
local deadline = now + tonumber(ARGV[2])
local own = ARGV[1] .. ':' .. string.format('%.0f', deadline)
clear(fences == '' and own or fences .. ' ' .. own, math.max(last, deadline))
return 1
