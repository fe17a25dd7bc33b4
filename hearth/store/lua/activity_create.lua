-- activity_create: store a new activity; one that exists stays.
-- KEYS[1] string hearth:activity:{acct:region}:NAME   record
-- KEYS[2] zset   hearth:activities:{acct:region}      names by time of creation
-- ARGV    record, name, created at (ms)               returns the record in force
local known = redis.call('GET', KEYS[1])
if known then return known end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[2])
return ARGV[1]
