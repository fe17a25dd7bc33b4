-- version_replace: put a new record in the place of the published version's that the caller has read.
-- KEYS[1] hash   hearth:function-versions:{acct:region}:NAME
-- KEYS[2] int    hearth:functions:epoch
-- ARGV    number, revision read, record                returns 1 replaced, 0 it was changed meanwhile, -1 it is gone
local record = redis.call('HGET', KEYS[1], ARGV[1])
if not record then return -1 end
if cjson.decode(record).revision_id ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('INCR', KEYS[2])
return 1
