-- items_write: write items of tables, and a change record of each in its table's log; all of them or none.
-- KEYS    of each table four:
--         hash   hearth:table:{acct:region}:NAME     revision, record, bytes
--         hash   hearth:items:...                    place -> item, canonical JSON
--         zset   hearth:places:...                   places, score 0
--         stream hearth:changes:...                  log of its enabled stream (any key if there is none)
--         and, of a transaction with a token:
--         string hearth:transaction:{acct:region}:TOKEN   digest of what was asked under the token; with expiry
-- ARGV    number of tables; of each: revision read, view of its stream ('': none), first ms that has not expired;
--         digest of what is asked, ms for which the token counts;
--         of each write: number of its table, place, key as JSON,
--         SHA-1 of the item that it replaces ('': there is none, '*': whatever there is),
--         new item ('': delete it, '=': leave it as it is)
-- returns {1, the items replaced (nil where there was none)}; {0, number of the first write whose item was another};
--         {-1, number of the first table that was changed (or deleted) meanwhile};
--         {2, digest of what was done under the token before}
local tables = tonumber(ARGV[1])
for t = 1, tables do
  if redis.call('HGET', KEYS[4 * t - 3], 'revision') ~= ARGV[3 * t - 1] then return {-1, t} end
end
local token = KEYS[4 * tables + 1]
local done = token and redis.call('GET', token)
if done then return {2, done} end
local first, answer = 4 + 3 * tables, {1}
for i = first, #ARGV, 5 do
  local old = redis.call('HGET', KEYS[4 * tonumber(ARGV[i]) - 2], ARGV[i + 1])
  if ARGV[i + 3] ~= '*' and ARGV[i + 3] ~= (old and redis.sha1hex(old) or '') then return {0, #answer} end
  answer[#answer + 1] = old
end
for i = first, #ARGV, 5 do
  local t, place, new = tonumber(ARGV[i]), ARGV[i + 1], ARGV[i + 4]
  local old = answer[(i - first) / 5 + 2]
  -- what changes nothing leaves no record, as on AWS
  if new ~= '=' and new ~= (old or '') then
    if new == '' then
      redis.call('HDEL', KEYS[4 * t - 2], place)
      redis.call('ZREM', KEYS[4 * t - 1], place)
    else
      redis.call('HSET', KEYS[4 * t - 2], place, new)
      if not old then redis.call('ZADD', KEYS[4 * t - 1], 0, place) end
    end
    redis.call('HINCRBY', KEYS[4 * t - 3], 'bytes', #new - (old and #old or 0))
    local view = ARGV[3 * t]
    if view ~= '' then
      local fields = {'e', new == '' and 'REMOVE' or old and 'MODIFY' or 'INSERT', 'k', ARGV[i + 2]}
      if new ~= '' and (view == 'NEW_IMAGE' or view == 'NEW_AND_OLD_IMAGES') then
        fields[#fields + 1], fields[#fields + 2] = 'n', new
      end
      if old and (view == 'OLD_IMAGE' or view == 'NEW_AND_OLD_IMAGES') then
        fields[#fields + 1], fields[#fields + 2] = 'o', old
      end
      redis.call('XADD', KEYS[4 * t], 'MINID', '~', ARGV[3 * t + 1], '*', unpack(fields))
    end
  end
end
if token then redis.call('SET', token, ARGV[first - 2], 'PX', ARGV[first - 1]) end
return answer
