-- take_slot: let a placed request have a new sandbox, or say why not. One call decides three things:
-- whether the request may run at all, whether concurrency is free, and which queue epoch is in force.
-- KEYS[1] zset   account's slots     member = sandbox id, score = expiry (epoch ms), renewed by heartbeat
-- KEYS[2] zset   function's slots    same
-- KEYS[3] string started mark of the request = id of the worker that took it
-- KEYS[4] zset   idle sandboxes      "worker|sandbox|arn|version key" -> idle since
-- KEYS[5] int    epoch of the version's queue
-- KEYS[6] string since when this server knows its workers (epoch ms)
-- ARGV    worker id, sandbox id, ttl ms, account limit, function limit (-1: none), arn, mark ttl ms, settle ms
-- returns {verdict, epoch, victim}   verdict: granted | started | account | function | evict | unsettled
local time = redis.call('TIME') -- the store's clock: workers need not agree on theirs
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local worker, sandbox, ttl, arn = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[6]
local epoch = tonumber(redis.call('GET', KEYS[5]) or '0')

-- A worker that died with the request may have run it: a second start would be a third run at worst.
local owner = redis.call('GET', KEYS[3])
if owner and owner ~= worker then return {'started', epoch, ''} end

-- After a loss of this server every worker must have reported its sandboxes before a new one is granted.
local born = tonumber(redis.call('GET', KEYS[6]) or '0')
if born == 0 or now - born < tonumber(ARGV[8]) then return {'unsettled', epoch, ''} end

-- Reserved concurrency is a pool of the function's own; all other functions share the account's.
local limit = tonumber(ARGV[5])
local pool, full, reason = KEYS[1], tonumber(ARGV[4]), 'account'
if limit >= 0 then pool, full, reason = KEYS[2], limit, 'function' end

-- A worker that was killed never releases; its slots come back by expiry.
redis.call('ZREMRANGEBYSCORE', pool, '-inf', now)
if not redis.call('ZSCORE', pool, sandbox) and redis.call('ZCARD', pool) >= full then
  -- AWS counts running calls, not sandboxes: an idle one of the same pool gives its slot up for this request.
  for _, member in ipairs(redis.call('ZRANGE', KEYS[4], 0, 63)) do
    local host, id, owner_arn = string.match(member, '^([^|]*)|([^|]*)|([^|]*)|')
    if not redis.call('ZSCORE', pool, id) then
      if limit < 0 or owner_arn == arn then redis.call('ZREM', KEYS[4], member) end -- gone meanwhile
    else
      redis.call('ZREM', KEYS[4], member) -- one request, one victim
      return {'evict', epoch, host .. '|' .. id}
    end
  end
  return {reason, epoch, ''}
end
redis.call('ZADD', pool, now + ttl, sandbox)
redis.call('SET', KEYS[3], worker, 'PX', ARGV[7])
return {'granted', epoch, ''}
