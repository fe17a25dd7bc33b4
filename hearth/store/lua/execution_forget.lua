-- execution_forget: remove a closed execution and everything that was kept of it.
-- KEYS[1] hash   hearth:execution:ARN
-- KEYS[2] zset   hearth:workflows:closed
-- KEYS[3..3+n]   keys to delete: history, state, map runs (ARGV[3] of them)
-- KEYS[...] zset lists that it is in
-- ARGV    ARN, status read, how many keys to delete
-- returns 1 forgotten, 0 it was redriven meanwhile
local status = redis.call('HGET', KEYS[1], 'status')
if status and status ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
local doomed = tonumber(ARGV[3])
for i = 3, 2 + doomed do redis.call('DEL', KEYS[i]) end
for i = 3 + doomed, #KEYS do redis.call('ZREM', KEYS[i], ARGV[1]) end
return 1
