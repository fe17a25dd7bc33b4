-- raise_epoch: the queue of the epoch seen is homed on a dead node; move on to the next one, once for all who saw it.
-- KEYS[1] int  epoch of the version's queue
-- ARGV    epoch seen, ttl ms          returns the epoch now in force
local now = tonumber(redis.call('GET', KEYS[1]) or '0')
local seen = tonumber(ARGV[1])
if now <= seen then now = seen + 1 end
redis.call('SET', KEYS[1], now, 'PX', ARGV[2])
return now
