-- checkpoint_restart: forget how far a mapping has come, for its stream was deleted and made again under its name.
-- KEYS[1] hash   hearth:mapping-fences:{acct:region}:UUID        unit -> latest token
-- KEYS[2] hash   hearth:mapping-checkpoints:{acct:region}:UUID
-- ARGV    what is noted of the stream, what is to be noted        returns 1 done, 0 it was done already
if redis.call('HGET', KEYS[2], 'begun') ~= ARGV[1] then return 0 end
-- Who still runs a shard of the former stream must not note it as finished: his token is an old one from now on.
for _, unit in ipairs(redis.call('HKEYS', KEYS[1])) do redis.call('HINCRBY', KEYS[1], unit, 1) end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], 'begun', ARGV[2])
return 1
