-- table_write: create a table, replace it or delete it, unless it was changed meanwhile; open and close its streams.
-- KEYS[1] hash   hearth:table:{acct:region}:NAME     revision, record, bytes
-- KEYS[2] zset   hearth:tables:{acct:region}         names, score 0
-- KEYS[3] hash   hearth:change-streams:{acct:region} TABLE/LABEL -> ChangeStream JSON
-- KEYS[4] stream hearth:changes:...                  log of the stream that is closed by this
-- KEYS[5..]      to delete with the table
-- ARGV    revision read ('': it must not exist), new revision, record ('': delete it), name,
--         ms after which the closed stream's log goes (0: none is closed), then TABLE/LABEL and JSON of each stream
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
if ARGV[5] ~= '0' then redis.call('PEXPIRE', KEYS[4], ARGV[5]) end
for i = 6, #ARGV, 2 do redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1]) end
for i = 5, #KEYS do redis.call('UNLINK', KEYS[i]) end
return 1
