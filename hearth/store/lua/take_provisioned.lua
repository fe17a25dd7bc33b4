-- take_provisioned: let a version have one more sandbox that is kept initialised, up to the number wanted.
-- KEYS[1] zset   the version's provisioned sandboxes, starting or ready   sandbox id -> expiry (epoch ms)
-- KEYS[2] string since when this server knows its workers (epoch ms)
-- ARGV    sandbox id, ttl ms, wanted, settle ms
-- returns granted | enough | unsettled
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local born = tonumber(redis.call('GET', KEYS[2]) or '0')
if born == 0 or now - born < tonumber(ARGV[4]) then return 'unsettled' end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 'enough' end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
return 'granted'
