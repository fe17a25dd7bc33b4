-- items_range: items of a table in the order of their places.
-- KEYS[1] hash   hearth:table:{acct:region}:NAME     revision
-- KEYS[2] hash   hearth:items:...                    place -> item
-- KEYS[3] zset   hearth:places:...                   places, score 0
-- ARGV    revision read, bounds as ZRANGE BYLEX takes them (from, to), 'REV' or '', most items, most bytes
-- returns {place, item, ...}, one item more than the bytes allow if there is one; 0 if the table was changed meanwhile
if redis.call('HGET', KEYS[1], 'revision') ~= ARGV[1] then return 0 end
local places
if ARGV[4] == 'REV' then
  places = redis.call('ZRANGE', KEYS[3], ARGV[2], ARGV[3], 'BYLEX', 'REV', 'LIMIT', 0, ARGV[5])
else
  places = redis.call('ZRANGE', KEYS[3], ARGV[2], ARGV[3], 'BYLEX', 'LIMIT', 0, ARGV[5])
end
local found, bytes, most = {}, 0, tonumber(ARGV[6])
for _, place in ipairs(places) do
  if bytes > most then break end
  local item = redis.call('HGET', KEYS[2], place)
  found[#found + 1], found[#found + 2] = place, item
  bytes = bytes + #item
end
return found
