-- execution_commit: carry out what an execution has decided, all of it, if the shard's lease and the execution's state
-- are still those that the decision was made with.
-- KEYS[1] int    hearth:workflows:fence:N: the shard's latest lease token
-- KEYS[2] hash   hearth:execution:ARN: version counts its commits
-- KEYS[3..]      what the commands change
-- ARGV    lease token, version read, then for each command: name, number of its key, count of arguments, arguments
-- returns 1 committed, 0 the lease is another's, -1 the execution was changed or deleted meanwhile
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if redis.call('HGET', KEYS[2], 'version') ~= ARGV[2] then return -1 end
redis.call('HINCRBY', KEYS[2], 'version', 1)
local i = 3
while i <= #ARGV do
  local count = tonumber(ARGV[i + 2])
  redis.call(ARGV[i], KEYS[tonumber(ARGV[i + 1])], unpack(ARGV, i + 3, i + 2 + count))
  i = i + 3 + count
end
return 1
