-- function_replace: put a new record in the place of the one that the caller has read.
-- KEYS[1] hash   hearth:function:{acct:region}:NAME    revision, record
-- KEYS[2] int    hearth:functions:epoch
-- KEYS[3] string hearth:version:KEY                    the version now in force
-- KEYS[4] string hearth:version:KEY                    the superseded one; absent if the version stays
-- ARGV    revision read, revision, record, version JSON, life of the superseded version (s)
-- returns 1 replaced, 0 it was changed meanwhile, -1 it is gone
local revision = redis.call('HGET', KEYS[1], 'revision')
if not revision then return -1 end
if revision ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'revision', ARGV[2], 'record', ARGV[3])
redis.call('SET', KEYS[3], ARGV[4])
-- Requests published for the old version may still be on their way to a worker that has to read it.
if KEYS[4] then redis.call('EXPIRE', KEYS[4], ARGV[5]) end
redis.call('INCR', KEYS[2])
return 1
