-- history_archive: a closed execution's history has been moved to a file; let go of what was kept here.
-- KEYS[1] hash   hearth:execution:ARN
-- KEYS[2] list   hearth:history:ARN
-- KEYS[3] zset   hearth:workflows:unarchived
-- ARGV    ARN, file (JSON: sha256, count), records that were read from the list
-- returns 1 let go, 0 it was redriven or forgotten meanwhile
local status = redis.call('HGET', KEYS[1], 'status')
if not status or status == 'RUNNING' or redis.call('LLEN', KEYS[2]) ~= tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], 'archive', ARGV[2])
redis.call('DEL', KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[1])
return 1
