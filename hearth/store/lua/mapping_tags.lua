-- mapping_tags: replace the tags of an event source mapping, if they are still what the caller has read.
-- KEYS[1] hash   hearth:mapping:{acct:region}:UUID
-- ARGV    tags read ('' for none), tags         returns 1 done, 0 they were changed, or the mapping is gone
if redis.call('EXISTS', KEYS[1]) == 0 or (redis.call('HGET', KEYS[1], 'tags') or '') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'tags', ARGV[2])
return 1
