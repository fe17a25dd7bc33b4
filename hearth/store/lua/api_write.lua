-- api_write: store an API of API Gateway, new or in the place of the one that the caller has read.
-- KEYS[1] hash   hearth:api:ID                          revision, record, snapshot:DEPLOYMENT
-- KEYS[2] zset   hearth:apis:KIND:{acct:region}         ids
-- KEYS[3] int    hearth:doors:epoch
-- ARGV    id, revision read ("" for a new one), revision, record, then pairs: deployment, snapshot ("" removes it)
-- returns 1 stored, 0 the id is taken or it was changed meanwhile
local revision = redis.call('HGET', KEYS[1], 'revision')
if (revision or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'revision', ARGV[3], 'record', ARGV[4])
for i = 5, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', KEYS[1], 'snapshot:' .. ARGV[i])
  else
    redis.call('HSET', KEYS[1], 'snapshot:' .. ARGV[i], ARGV[i + 1])
  end
end
redis.call('ZADD', KEYS[2], 0, ARGV[1])
redis.call('INCR', KEYS[3])
return 1
