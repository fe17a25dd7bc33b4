-- concurrency_forget: a function that has had concurrency records is gone.
-- KEYS[1] hash hearth:function:{acct:region}:NAME
-- KEYS[2] set  hearth:concurrency
-- ARGV    "acct:region:NAME"
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('SREM', KEYS[2], ARGV[1]) end
return 0
