-- function_create: store a new function, unless the name is taken.
-- KEYS[1] hash   hearth:function:{acct:region}:NAME    revision, record
-- KEYS[2] zset   hearth:functions:{acct:region}        names
-- KEYS[3] string hearth:version:KEY                    what workers read
-- KEYS[4] int    hearth:functions:epoch
-- ARGV    name, revision, record, version JSON         returns 1 created, 0 the name is taken
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'revision', ARGV[2], 'record', ARGV[3])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
redis.call('SET', KEYS[3], ARGV[4])
redis.call('INCR', KEYS[4])
return 1
