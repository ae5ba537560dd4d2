-- purpose: which of some commands the user that asks may send (ACL); nothing is done. Since Redis 7.0; for `doctor`
-- KEYS:    none: the commands are only looked at
-- ARGV:    [1] the commands, JSON: [[word, ...], ...]
-- reply:   a text with a letter for each: y or n; '' where the server cannot tell

if not redis.acl_check_cmd then
  return ''
end
local reply = {}
for at, words in ipairs(cjson.decode(ARGV[1])) do
  reply[at] = redis.acl_check_cmd(unpack(words)) and 'y' or 'n'
end
return table.concat(reply)
