-- layer_publish: store a layer version under the next number.
-- KEYS[1] hash   hearth:layer:{acct:region}:NAME       number -> version, last, policy:NUMBER
-- KEYS[2] zset   hearth:layers:{acct:region}           names of layers with a version
-- ARGV    name, version JSON                           returns the number
local number = redis.call('HINCRBY', KEYS[1], 'last', 1)
redis.call('HSET', KEYS[1], number, ARGV[2])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
return number
