-- event_note: note that a queue of a partition exists, or that it is gone; only by the partition's latest lease holder,
-- so that one which was replaced unnoticed can neither hide a queue from its successor nor make one unknown to it.
-- KEYS[1] int    the partition's latest lease token
-- KEYS[2] set    what names the queues: ARNs (aside), seconds (delays)
-- ARGV    lease token, name, 1 exists | 0 is gone
-- returns 1 noted, 0 the lease is lost
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[3] == '1' then redis.call('SADD', KEYS[2], ARGV[2]) else redis.call('SREM', KEYS[2], ARGV[2]) end
return 1
