-- function_publish: put a new record in $LATEST's place and store a published version made of it, in one step.
-- KEYS[1] hash   hearth:function:{acct:region}:NAME            revision, record
-- KEYS[2] int    hearth:functions:epoch
-- KEYS[3] string hearth:version:KEY                            $LATEST's
-- KEYS[4] hash   hearth:function-versions:{acct:region}:NAME
-- KEYS[5] hash   hearth:function-numbers:{acct:region}
-- KEYS[6] string hearth:version:KEY                            the published version's
-- KEYS[7] string hearth:version:KEY                            the superseded one; absent if $LATEST's stays
-- ARGV    revision read, revision, record, version JSON, life of the superseded version (s), name,
--         number, record, version JSON of the published version
-- returns 1 published, 0 it was changed meanwhile, -1 it is gone, -2 the number was already given
local revision = redis.call('HGET', KEYS[1], 'revision')
if not revision then return -1 end
if revision ~= ARGV[1] then return 0 end
local last = tonumber(redis.call('HGET', KEYS[5], ARGV[6]) or 0)
if tonumber(ARGV[7]) ~= last + 1 then return -2 end
redis.call('HSET', KEYS[1], 'revision', ARGV[2], 'record', ARGV[3])
redis.call('SET', KEYS[3], ARGV[4])
redis.call('HSET', KEYS[5], ARGV[6], ARGV[7])
redis.call('HSET', KEYS[4], ARGV[7], ARGV[8])
redis.call('SET', KEYS[6], ARGV[9])
if KEYS[7] then redis.call('EXPIRE', KEYS[7], ARGV[5]) end
redis.call('INCR', KEYS[2])
return 1
