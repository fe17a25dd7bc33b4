-- lease_release: give a lease back, if it is still ours.
-- KEYS[1] string the lease; its value is the owner
-- ARGV    owner
-- returns 1 released, 0 it was another's
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
return 1
