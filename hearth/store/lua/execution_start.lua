-- execution_start: store a new execution and tell its shard, unless the name is taken.
-- KEYS[1] hash   hearth:execution:ARN
-- KEYS[2] stream hearth:workflows:inbox:N
-- KEYS[3] string hearth:snapshot:KEY
-- KEYS[4] int    hearth:executions-open:{acct:region}
-- KEYS[5..] zset two for each list it belongs to: all, RUNNING
-- ARGV    ARN, start (JSON), snapshot (JSON; '': the caller believes it is stored), started at (ms), most open, message
-- returns {1} started; {0, start, status} the name is taken; {-1} the snapshot is needed; {-2} too many are open
local known = redis.call('HMGET', KEYS[1], 'start', 'status')
if known[1] then return {0, known[1], known[2]} end
if tonumber(redis.call('GET', KEYS[4]) or '0') >= tonumber(ARGV[5]) then return {-2} end
if ARGV[3] ~= '' then
  redis.call('SET', KEYS[3], ARGV[3])
elseif redis.call('EXISTS', KEYS[3]) == 0 then
  return {-1}
end
redis.call('HSET', KEYS[1], 'start', ARGV[2], 'status', 'RUNNING', 'version', 0)
for i = 5, #KEYS do redis.call('ZADD', KEYS[i], ARGV[4], ARGV[1]) end
redis.call('INCR', KEYS[4])
redis.call('XADD', KEYS[2], '*', 'execution', ARGV[1], 'message', ARGV[6])
return {1}
