-- task_answer: take the one answer of a task whose token is out.
-- KEYS[1] hash   hearth:workflows:tokens:N    "ARN|task" -> the token
-- KEYS[2] stream hearth:workflows:inbox:N
-- ARGV    "ARN|task", token, ARN, message, 1 the task is over | 0 it goes on (a heartbeat)
-- returns 1 taken, 0 the task is over, or there never was one
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
if ARGV[5] == '1' then redis.call('HDEL', KEYS[1], ARGV[1]) end
redis.call('XADD', KEYS[2], '*', 'execution', ARGV[3], 'message', ARGV[4])
return 1
