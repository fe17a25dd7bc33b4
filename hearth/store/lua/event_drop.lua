-- event_drop: keep the record of a dropped event and count it.
-- KEYS[1] stream the function's latest dropped events
-- KEYS[2] hash   "ARN|reason" -> how many
-- ARGV    record (JSON), records kept, "ARN|reason"
redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[2], '*', 'record', ARGV[1])
redis.call('HINCRBY', KEYS[2], ARGV[3], 1)
return 1
