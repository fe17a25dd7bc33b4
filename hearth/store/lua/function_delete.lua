-- function_delete: remove a function; its version stays readable for what is on its way.
-- KEYS[1] hash   hearth:function:{acct:region}:NAME
-- KEYS[2] zset   hearth:functions:{acct:region}
-- KEYS[3] int    hearth:functions:epoch
-- KEYS[4] string hearth:version:KEY
-- ARGV    name, revision read, life of the superseded version (s)
-- returns 1 deleted, 0 it was changed meanwhile, -1 it is gone
local revision = redis.call('HGET', KEYS[1], 'revision')
if not revision then return -1 end
if revision ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('EXPIRE', KEYS[4], ARGV[3])
redis.call('INCR', KEYS[3])
return 1
