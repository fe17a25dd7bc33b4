-- function_delete: remove a function with all that belongs to it; its versions stay readable for what is on its way.
-- KEYS[1] hash   hearth:function:{acct:region}:NAME
-- KEYS[2] zset   hearth:functions:{acct:region}
-- KEYS[3] int    hearth:functions:epoch
-- KEYS[4] hash   hearth:function-versions:{acct:region}:NAME
-- KEYS[5..] string hearth:version:KEY                  of every version; publishing one changes the revision
-- ARGV    name, revision read, life of the superseded versions (s)
-- returns 1 deleted, 0 it was changed meanwhile, -1 it is gone
local revision = redis.call('HGET', KEYS[1], 'revision')
if not revision then return -1 end
if revision ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1], KEYS[4])
redis.call('ZREM', KEYS[2], ARGV[1])
for i = 5, #KEYS do redis.call('EXPIRE', KEYS[i], ARGV[3]) end
redis.call('INCR', KEYS[3])
return 1
