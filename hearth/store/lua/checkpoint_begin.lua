-- checkpoint_begin: note shards of a mapping that nobody has noted yet, each with the position to begin at.
-- KEYS[1] hash   hearth:mapping-checkpoints:{acct:region}:UUID
-- ARGV    what is to be noted of the stream if this is the mapping's beginning (else ''), id of the latest rewind
--         (which new shards need not do), then shard, position, ...
-- returns 1 noted, 0 the beginning has been made already, by another
if ARGV[1] ~= '' and redis.call('HSETNX', KEYS[1], 'begun', ARGV[1]) == 0 then return 0 end
for i = 3, #ARGV, 2 do
  if redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1]) == 1 and ARGV[2] ~= '' then
    redis.call('HSET', KEYS[1], ARGV[i] .. '|rewind', ARGV[2])
  end
end
return 1
