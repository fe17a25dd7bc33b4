-- concurrency_put: write or remove a function's concurrency record, if no function has changed since the caller read.
-- So what the caller has decided, on all functions of the account together, still holds.
-- KEYS[1] hash hearth:function:{acct:region}:NAME    concurrency:, provisioned:QUALIFIER
-- KEYS[2] int  hearth:functions:epoch
-- KEYS[3] set  hearth:concurrency                    "acct:region:NAME" of functions with such records
-- ARGV    epoch seen, field, value ('' removes it), "acct:region:NAME"
-- returns 1 done, 0 something has changed, -1 the function is gone
if redis.call('EXISTS', KEYS[1]) == 0 then return -1 end
if (redis.call('GET', KEYS[2]) or '0') ~= ARGV[1] then return 0 end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[2])
else
  redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
  redis.call('SADD', KEYS[3], ARGV[4])
end
redis.call('INCR', KEYS[2])
return 1
