-- purpose: the requests of a load of writes: each gives a row, at random, a title that no row has had
-- KEYS:    none
-- ARGV:    [1] the greatest id, from 1 on  [2] what makes the titles of this load differ from those of others
-- reply:   none
-- wrk runs this; `lua/` holds the scripts of Redis.

local rows, mark, count = 1, '', 0

function init(args)
  rows, mark = tonumber(args[1]), args[2]
  wrk.headers['Content-Type'] = 'application/json'
end

function request()
  count = count + 1
  local body = '{"title":"' .. mark .. ' ' .. count .. '"}'
  return wrk.format('PUT', '/cache/posts/' .. math.random(rows), nil, body)
end
