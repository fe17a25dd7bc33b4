-- mapping_delete: remove an event source mapping with its units' fences and checkpoints.
-- KEYS[1] hash   hearth:mapping:{acct:region}:UUID
-- KEYS[2] hash   hearth:mapping-pairs:{acct:region}
-- KEYS[3] set    hearth:mappings
-- KEYS[4] int    hearth:mappings:epoch
-- KEYS[5] hash   hearth:mapping-fences:{acct:region}:UUID
-- KEYS[6] hash   hearth:mapping-checkpoints:{acct:region}:UUID
-- ARGV    generation read, pair, member of KEYS[3]         returns 1 deleted, 0 it was changed meanwhile
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('UNLINK', KEYS[5], KEYS[6])
redis.call('HDEL', KEYS[2], ARGV[2])
redis.call('SREM', KEYS[3], ARGV[3])
redis.call('INCR', KEYS[4])
return 1
