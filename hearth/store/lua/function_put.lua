-- function_put: make, change or remove an alias or a record beside a function, if it is still what the caller has read.
-- KEYS[1] hash   hearth:function:{acct:region}:NAME            alias:NAME, KIND:QUALIFIER
-- KEYS[2] hash   hearth:function-versions:{acct:region}:NAME
-- KEYS[3] int    hearth:functions:epoch
-- ARGV    field, value read ('' for none), value ('' removes it), qualifiers that have to be there...
-- returns 1 done, 0 it was changed meanwhile, -1 the function is gone, -2 a qualifier is gone
if redis.call('EXISTS', KEYS[1]) == 0 then return -1 end
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
for i = 4, #ARGV do
  if redis.call('HEXISTS', KEYS[2], ARGV[i]) == 0 and redis.call('HEXISTS', KEYS[1], 'alias:' .. ARGV[i]) == 0 then
    return -2
  end
end
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
else
  redis.call('HDEL', KEYS[1], ARGV[1])
  local alias = ARGV[1]:match('^alias:(.*)$')
  for _, field in ipairs(alias and redis.call('HKEYS', KEYS[1]) or {}) do
    if field:match('^[^:]+:(.*)$') == alias then redis.call('HDEL', KEYS[1], field) end
  end
end
redis.call('INCR', KEYS[3])
return 1
