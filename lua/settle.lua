-- purpose: open a fence table that was made anew, once every COMMIT has ended that was out when the old one was lost
-- KEYS:    [1] fence table
-- ARGV:    [4] epoch of the table to open; '' to learn what there is, and to make a table where there is none
-- reply:   {'settled'} | {'unsettled', epoch}

make_table_if_lost()
if not settled and ARGV[4] == epoch then
  redis.call('HSET', fences_key, 'opens_at', '0')
  settled = true
end
if settled then
  return { 'settled' }
end
return { 'unsettled', epoch }
