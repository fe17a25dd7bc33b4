-- event_aside: note that a function's queue aside exists in a partition, or that it is gone; only by the partition's
-- latest lease holder, so that one which was replaced unnoticed can't hide a queue from its successor.
-- KEYS[1] int    the partition's latest lease token
-- KEYS[2] set    ARNs of functions with a queue aside
-- ARGV    lease token, ARN, 1 exists | 0 is gone
-- returns 1 noted, 0 the lease is lost
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[3] == '1' then redis.call('SADD', KEYS[2], ARGV[2]) else redis.call('SREM', KEYS[2], ARGV[2]) end
return 1
