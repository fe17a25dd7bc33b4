-- stream_write: create a data stream, replace it or delete it, unless it was changed meanwhile.
-- KEYS[1] hash   hearth:stream:{acct:region}:NAME    revision, record
-- KEYS[2] zset   hearth:streams:{acct:region}        names, score 0
-- KEYS[3..] stream hearth:shard:...                  logs to delete with it
-- ARGV    revision read ('': it must not exist), new revision, record ('': delete it), name
-- returns 1 written, 0 it was changed (or created, or deleted) meanwhile
local revision = redis.call('HGET', KEYS[1], 'revision') or ''
if revision ~= ARGV[1] then return 0 end
if ARGV[3] == '' then
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', KEYS[2], ARGV[4])
else
  redis.call('HSET', KEYS[1], 'revision', ARGV[2], 'record', ARGV[3])
  redis.call('ZADD', KEYS[2], 0, ARGV[4])
end
for i = 3, #KEYS do redis.call('UNLINK', KEYS[i]) end
return 1
