-- clock_read: where the platform's clock started and how far it was advanced.
-- KEYS[1] hash   hearth:clock     anchor, advanced
-- ARGV    now (real epoch ms)     returns {anchor, advanced}
redis.call('HSETNX', KEYS[1], 'anchor', ARGV[1])
local found = redis.call('HMGET', KEYS[1], 'anchor', 'advanced')
return {found[1], found[2] or '0'}
