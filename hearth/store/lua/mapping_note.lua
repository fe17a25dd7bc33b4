-- mapping_note: keep what became of a mapping's last batch; one that is gone is left alone.
-- KEYS[1] hash   hearth:mapping:{acct:region}:UUID
-- ARGV    result         returns 1 kept, 0 there is no such mapping
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'result', ARGV[1])
return 1
