-- event_partitions: raise the number of partitions that must be consumed to what is in use.
-- KEYS[1] int    the most partitions ever used
-- ARGV    partitions of the settings
-- returns the number in force
local known = tonumber(redis.call('GET', KEYS[1]) or '0')
if tonumber(ARGV[1]) <= known then return known end
redis.call('SET', KEYS[1], ARGV[1])
return tonumber(ARGV[1])
