-- purpose: the requests of a load of reads: posts at random out of those with the ids from 1 on
-- KEYS:    none
-- ARGV:    [1] the greatest id
-- reply:   none
-- wrk runs this; `lua/` holds the scripts of Redis.

local rows = 1

function init(args)
  rows = tonumber(args[1])
end

function request()
  return wrk.format('GET', '/cache/posts/' .. math.random(rows))
end
