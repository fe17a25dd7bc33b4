-- api_delete: remove an API of API Gateway with all that belongs to it.
-- KEYS[1] hash   hearth:api:ID
-- KEYS[2] zset   hearth:apis:KIND:{acct:region}
-- KEYS[3] int    hearth:doors:epoch
-- ARGV    id         returns 1 deleted, 0 there was none
local deleted = redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('INCR', KEYS[3])
return deleted
