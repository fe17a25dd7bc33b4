-- function_create: store a new function, and its first published version if one is given, unless the name is taken.
-- KEYS[1] hash   hearth:function:{acct:region}:NAME            revision, record
-- KEYS[2] zset   hearth:functions:{acct:region}                names
-- KEYS[3] int    hearth:functions:epoch
-- KEYS[4] string hearth:version:KEY                            what workers read
-- KEYS[5] hash   hearth:function-versions:{acct:region}:NAME   these three only with a published version
-- KEYS[6] hash   hearth:function-numbers:{acct:region}
-- KEYS[7] string hearth:version:KEY                            the published version's
-- ARGV    name, revision, record, version JSON [, number, record, version JSON of the published version]
--         [, field, value of each record beside it...]
-- returns 1 created, 0 the name is taken, -2 the number was already given
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
if KEYS[5] then
  local last = tonumber(redis.call('HGET', KEYS[6], ARGV[1]) or 0)
  if tonumber(ARGV[5]) ~= last + 1 then return -2 end
  redis.call('HSET', KEYS[6], ARGV[1], ARGV[5])
  redis.call('HSET', KEYS[5], ARGV[5], ARGV[6])
  redis.call('SET', KEYS[7], ARGV[7])
end
redis.call('HSET', KEYS[1], 'revision', ARGV[2], 'record', ARGV[3])
for i = KEYS[5] and 8 or 5, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('ZADD', KEYS[2], 0, ARGV[1])
redis.call('SET', KEYS[4], ARGV[4])
redis.call('INCR', KEYS[3])
return 1
