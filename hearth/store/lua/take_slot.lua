-- take_slot: let a placed request have a new sandbox, or say why not. One call decides four things: whether the
-- request may run at all, whether concurrency is free, whether the function grows too fast, and which queue epoch is
-- in force.
-- KEYS[1] zset   account's sandboxes    member = sandbox id, score = expiry (epoch ms), renewed by heartbeat
-- KEYS[2] zset   function's sandboxes   same; both hold what runs on demand, not what is provisioned
-- KEYS[3] string started mark of the request = id of the worker that took it
-- KEYS[4] zset   idle sandboxes         "worker|sandbox|arn|version key" -> idle since
-- KEYS[5] int    epoch of the version's queue
-- KEYS[6] string since when this server knows its workers (epoch ms)
-- KEYS[7] hash   how fast the function grows: starts (tokens left), at (epoch ms)
-- KEYS[8..] zset sandboxes of the functions with reserved concurrency, which are not in the account's shared part
-- ARGV    worker id, sandbox id, ttl ms, limit, 1 if it is the function's own (reserved) and 0 if it is shared, arn,
--         mark ttl ms, settle ms, starts in 10 s
-- returns {verdict, epoch, victim}   verdict: granted | started | account | function | rate | evict | unsettled
local time = redis.call('TIME') -- the store's clock: workers need not agree on theirs
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local worker, sandbox, ttl, limit = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local reserved, arn, rate = ARGV[5] == '1', ARGV[6], tonumber(ARGV[9])
local epoch = tonumber(redis.call('GET', KEYS[5]) or '0')

-- A worker that died with the request may have run it: a second start would be a third run at worst.
local owner = redis.call('GET', KEYS[3])
if owner and owner ~= worker then return {'started', epoch, ''} end

-- After a loss of this server every worker must have reported its sandboxes before a new one is granted.
local born = tonumber(redis.call('GET', KEYS[6]) or '0')
if born == 0 or now - born < tonumber(ARGV[8]) then return {'unsettled', epoch, ''} end

-- A worker that was killed never releases; its slots come back by expiry.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local pool, elsewhere = reserved and KEYS[2] or KEYS[1], {}
local used = redis.call('ZCARD', pool)
for i = 8, #KEYS do
  elsewhere[KEYS[i]] = true
  used = used - redis.call('ZCOUNT', KEYS[i], '(' .. now, '+inf')
end
local held = redis.call('ZSCORE', KEYS[2], sandbox)
if not held and used >= limit then
  -- AWS counts running calls, not sandboxes: an idle one of the same pool gives its slot up for this request.
  for _, member in ipairs(redis.call('ZRANGE', KEYS[4], 0, 255)) do
    local host, id, owner_arn = string.match(member, '^([^|]*)|([^|]*)|([^|]*)|')
    if not redis.call('ZSCORE', KEYS[1], id) then
      redis.call('ZREM', KEYS[4], member) -- gone meanwhile
    elseif (reserved and owner_arn == arn) or (not reserved and not elsewhere['hearth:slots:' .. owner_arn]) then
      redis.call('ZREM', KEYS[4], member) -- one request, one victim
      return {'evict', epoch, host .. '|' .. id}
    end
  end
  return {reserved and 'function' or 'account', epoch, ''}
end

if not held then
  -- A bucket that fills evenly: no more than `rate` starts in any 10 s, none saved up beyond that.
  local bucket = redis.call('HMGET', KEYS[7], 'starts', 'at')
  local left = tonumber(bucket[1] or rate) + (now - tonumber(bucket[2] or now)) * rate / 10000
  if left > rate then left = rate end
  if left < 1 then return {'rate', epoch, ''} end
  redis.call('HSET', KEYS[7], 'starts', left - 1, 'at', now)
  redis.call('PEXPIRE', KEYS[7], 20000)
end
redis.call('ZADD', KEYS[1], now + ttl, sandbox)
redis.call('ZADD', KEYS[2], now + ttl, sandbox)
redis.call('SET', KEYS[3], worker, 'PX', ARGV[7])
return {'granted', epoch, ''}
