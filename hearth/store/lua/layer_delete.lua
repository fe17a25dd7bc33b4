-- layer_delete: remove a layer version and its policy; the last number given stays, so that none is given twice.
-- KEYS[1] hash   hearth:layer:{acct:region}:NAME
-- KEYS[2] zset   hearth:layers:{acct:region}
-- ARGV    name, number                                 returns 1 deleted, 0 it is not there
local deleted = redis.call('HDEL', KEYS[1], ARGV[2])
redis.call('HDEL', KEYS[1], 'policy:' .. ARGV[2])
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if field:match('^%d+$') then return deleted end
end
redis.call('ZREM', KEYS[2], ARGV[1])
return deleted
