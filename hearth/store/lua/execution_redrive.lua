-- execution_redrive: open a closed execution again and tell its shard.
-- KEYS[1] hash   hearth:execution:ARN
-- KEYS[2] stream hearth:workflows:inbox:N
-- KEYS[3] int    hearth:executions-open:{acct:region}
-- KEYS[4] zset   hearth:workflows:closed
-- KEYS[5] zset   hearth:workflows:unarchived
-- KEYS[6..] zset three for each list it belongs to: all, RUNNING, of the status it had
-- ARGV    ARN, status read, now (ms), client token, message
-- returns {1, now} redriven; {2, when} by this token already; {0} it runs, or its status has changed meanwhile
local token = redis.call('HMGET', KEYS[1], 'redrive-token', 'redriven', 'status')
if ARGV[4] ~= '' and token[1] == ARGV[4] then return {2, token[2]} end
-- callers come with RUNNING too, to hear of their token: SDKs send one with every call, and the same with a retry
if token[3] ~= ARGV[2] or token[3] == 'RUNNING' then return {0} end
redis.call('HSET', KEYS[1], 'status', 'RUNNING', 'redriven', ARGV[3], 'redrive-token', ARGV[4])
redis.call('HINCRBY', KEYS[1], 'redrives', 1)
redis.call('HDEL', KEYS[1], 'stopped', 'error', 'cause', 'output')
redis.call('INCR', KEYS[3])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('ZREM', KEYS[5], ARGV[1])
for i = 6, #KEYS, 3 do
  redis.call('ZADD', KEYS[i], ARGV[3], ARGV[1])
  redis.call('ZADD', KEYS[i + 1], ARGV[3], ARGV[1])
  redis.call('ZREM', KEYS[i + 2], ARGV[1])
end
redis.call('XADD', KEYS[2], '*', 'execution', ARGV[1], 'message', ARGV[5])
return {1, ARGV[3]}
