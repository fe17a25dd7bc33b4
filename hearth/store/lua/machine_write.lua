-- machine_write: create a state machine or replace it with its versions and aliases, unless it was changed meanwhile.
-- KEYS[1] hash   hearth:machine:{acct:region}:NAME            revision, record
-- KEYS[2] zset   hearth:machines:{acct:region}                names by time of creation
-- KEYS[3] hash   hearth:machine-versions:{acct:region}:NAME   number -> version
-- KEYS[4] hash   hearth:machine-aliases:{acct:region}:NAME    name -> alias
-- ARGV    revision read ('': it must not exist), new revision, record, name, created at (ms),
--         then threes: 'version' | 'alias', field, value ('': remove it)
-- returns 1 written, 0 it was changed (or created, or deleted) meanwhile
local revision = redis.call('HGET', KEYS[1], 'revision') or ''
if revision ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'revision', ARGV[2], 'record', ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[5], ARGV[4])
for i = 6, #ARGV, 3 do
  local key = KEYS[3]
  if ARGV[i] == 'alias' then key = KEYS[4] end
  if ARGV[i + 2] == '' then
    redis.call('HDEL', key, ARGV[i + 1])
  else
    redis.call('HSET', key, ARGV[i + 1], ARGV[i + 2])
  end
end
return 1
