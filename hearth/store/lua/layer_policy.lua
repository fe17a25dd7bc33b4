-- layer_policy: make, change or remove a layer version's policy, if it is still what the caller has read.
-- KEYS[1] hash   hearth:layer:{acct:region}:NAME
-- ARGV    number, policy read ('' for none), policy ('' removes it)
-- returns 1 done, 0 it was changed meanwhile, -1 the version is gone
local field = 'policy:' .. ARGV[1]
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return -1 end
if (redis.call('HGET', KEYS[1], field) or '') ~= ARGV[2] then return 0 end
if ARGV[3] == '' then redis.call('HDEL', KEYS[1], field) else redis.call('HSET', KEYS[1], field, ARGV[3]) end
return 1
