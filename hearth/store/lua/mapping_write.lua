-- mapping_write: store an event source mapping, new or in the place of the one that the caller has read.
-- KEYS[1] hash   hearth:mapping:{acct:region}:UUID        generation, record, result, tags
-- KEYS[2] hash   hearth:mapping-pairs:{acct:region}       source and function -> uuid
-- KEYS[3] set    hearth:mappings                          "acct:region:uuid" of all mappings
-- KEYS[4] int    hearth:mappings:epoch
-- ARGV    uuid, generation read (0 for a new one), record, pair, pair before ('' for a new one), member of KEYS[3]
-- returns the new generation; 0 it was changed meanwhile; the uuid of another mapping of the pair
local generation = tonumber(redis.call('HGET', KEYS[1], 'generation') or 0)
if generation ~= tonumber(ARGV[2]) then return 0 end
local other = redis.call('HGET', KEYS[2], ARGV[4])
if other and other ~= ARGV[1] then return other end
if ARGV[5] ~= '' and ARGV[5] ~= ARGV[4] then redis.call('HDEL', KEYS[2], ARGV[5]) end
redis.call('HSET', KEYS[2], ARGV[4], ARGV[1])
redis.call('HSET', KEYS[1], 'generation', generation + 1, 'record', ARGV[3])
redis.call('SADD', KEYS[3], ARGV[6])
redis.call('INCR', KEYS[4])
return generation + 1
