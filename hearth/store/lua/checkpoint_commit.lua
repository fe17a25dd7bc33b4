-- checkpoint_commit: how far a mapping has come in a shard, if the holder's lease is still its own.
-- KEYS[1] hash   hearth:mapping-fences:{acct:region}:UUID        unit -> latest token
-- KEYS[2] hash   hearth:mapping-checkpoints:{acct:region}:UUID
-- ARGV    unit, lease token, then field, value, ... (value '': remove the field)
-- returns 1 committed, 0 another holds the lease, or the mapping is gone
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
for i = 3, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', KEYS[2], ARGV[i])
  else
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
  end
end
return 1
