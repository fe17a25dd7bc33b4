-- shed_slot: give up a sandbox's slot, if there are more of its kind than there may be now.
-- KEYS[1] zset the sandboxes of its kind, which are counted    KEYS[2..] zset others that it is in
-- ARGV    sandbox id, limit          returns 1 it must end, 0 it may stay
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('ZCOUNT', KEYS[1], '(' .. now, '+inf') <= tonumber(ARGV[2]) then return 0 end
for _, key in ipairs(KEYS) do redis.call('ZREM', key, ARGV[1]) end
return 1
