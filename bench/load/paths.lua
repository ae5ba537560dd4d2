-- purpose: the requests of a load: the lines of a file as paths, in turn or at random
-- KEYS:    none
-- ARGV:    [1] 'random' or 'in-turn'  [2] the file
-- reply:   none
-- wrk runs this; `lua/` holds the scripts of Redis.

local requests, at, order = {}, 0, 'random'

function init(args)
  order = args[1]
  for line in io.lines(args[2]) do
    requests[#requests + 1] = wrk.format('GET', line)
  end
end

function request()
  if #requests == 1 then
    return requests[1]
  end
  if order == 'random' then
    return requests[math.random(#requests)]
  end
  at = at % #requests + 1
  return requests[at]
end
