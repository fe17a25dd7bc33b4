-- lease_take: take or renew leases that are free or already ours.
-- KEYS    string one lease each; its value is the owner
-- ARGV    owner, ttl ms
-- returns one number per key: 1 ours now, 0 another's
local held = {}
for i, key in ipairs(KEYS) do
  local owner = redis.call('GET', key)
  if not owner or owner == ARGV[1] then
    redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
    held[i] = 1
  else
    held[i] = 0
  end
end
return held
