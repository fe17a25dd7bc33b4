-- mapping_fence: a lease token for a unit of an event source mapping, higher than every one before.
-- KEYS[1] hash   hearth:mapping:{acct:region}:UUID
-- KEYS[2] hash   hearth:mapping-fences:{acct:region}:UUID   unit -> latest token
-- ARGV    generation that the caller knows, unit
-- returns the token; 0: the mapping was changed (or deleted) meanwhile, by which it may be stopped
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return 0 end
return redis.call('HINCRBY', KEYS[2], ARGV[2], 1)
