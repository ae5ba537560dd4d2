-- purpose: give out a version for a change, larger than all before it
-- KEYS:    [1] stream  [2] state
-- ARGV:    none of its own
-- reply:   {epoch, version}

counter = counter + 1
redis.call('HSET', state_key, 'counter', digits(counter))
return { epoch, digits(counter) }
