-- claim_finish: leave a task's result in the claim on it, if the claim is ours.
-- KEYS[1] string hearth:claim:TASK:ATTEMPT
-- ARGV    the claim as we took it, the result, life (s)     returns 1 left, 0 the claim is another's or gone
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
