-- shard_rate: count records or reads against the rates of their shards; a bucket a shard, of one second's worth.
-- KEYS    hash   hearth:shard-rate:in|out:...        count, bytes (what is left), at (when that was, ms)
-- ARGV    count a second, bytes a second (0: no limit), 'take' or 'owe' (count bytes that have passed already),
--         then of each record or read: number of its key, bytes
-- returns a number for each: 1 it may pass, 0 it comes too soon
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local rates = {count = tonumber(ARGV[1]), bytes = tonumber(ARGV[2])}
local levels = {}
for i, key in ipairs(KEYS) do
  local found = redis.call('HMGET', key, 'count', 'bytes', 'at')
  local passed_s = (now_ms - (tonumber(found[3]) or now_ms)) / 1000
  levels[i] = {
    count = math.min(rates.count, (tonumber(found[1]) or rates.count) + passed_s * rates.count),
    bytes = math.min(rates.bytes, (tonumber(found[2]) or rates.bytes) + passed_s * rates.bytes),
  }
end
local answer = {}
for i = 4, #ARGV, 2 do
  local level, bytes = levels[tonumber(ARGV[i])], tonumber(ARGV[i + 1])
  -- what is larger than a second's worth passes once the bucket is full, and is owed
  local passes = ARGV[3] == 'owe'
    or ((rates.count == 0 or level.count >= 1) and (rates.bytes == 0 or level.bytes >= math.min(bytes, rates.bytes)))
  if passes then
    if ARGV[3] ~= 'owe' then level.count = level.count - 1 end
    level.bytes = level.bytes - bytes
  end
  answer[#answer + 1] = passes and 1 or 0
end
for i, key in ipairs(KEYS) do
  redis.call('HSET', key, 'count', levels[i].count, 'bytes', levels[i].bytes, 'at', now_ms)
  -- the longest that a bucket owes: 10 MiB at AWS's rates
  redis.call('PEXPIRE', key, 60000)
end
return answer
