-- stream_put: append records to shards' logs, if the stream is still as it was when their shards were chosen.
-- KEYS[1] hash   hearth:stream:{acct:region}:NAME    revision, record
-- KEYS[2..] stream hearth:shard:...                  logs
-- ARGV    revision read, first ms whose records have not expired,
--         then for each record: number of its key, partition key, data
-- returns the entries' ids in order; 0 if the stream was changed (or deleted) meanwhile
if redis.call('HGET', KEYS[1], 'revision') ~= ARGV[1] then return 0 end
local ids = {}
for i = 3, #ARGV, 3 do
  ids[#ids + 1] = redis.call('XADD', KEYS[tonumber(ARGV[i])], 'MINID', '~', ARGV[2], '*', 'k', ARGV[i + 1], 'd', ARGV[i + 2])
end
return ids
