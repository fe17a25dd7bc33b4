-- take_slot: let a placed request have a new sandbox, or say why not. One call decides three things:
-- whether the request may run at all, whether concurrency is free, and which queue epoch is in force.
-- KEYS[1] zset   account's slots     member = sandbox id, score = expiry (epoch ms), renewed by heartbeat
-- KEYS[2] zset   function's slots    same members
-- KEYS[3] string started mark of the request = id of the worker that took it
-- KEYS[4] zset   idle sandboxes      "worker|sandbox|arn|version key" -> idle since
-- KEYS[5] int    epoch of the version's queue
-- ARGV    worker id, sandbox id, ttl ms, account limit, function limit (-1: none), arn, mark ttl ms
-- returns {verdict, epoch, victim}   verdict: granted | started | account | function | evict
local time = redis.call('TIME') -- the store's clock: workers need not agree on theirs
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local worker, sandbox, ttl, arn = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[6]
local epoch = tonumber(redis.call('GET', KEYS[5]) or '0')

-- A worker that died with the request may have run it: a second start would be a third run at worst.
local owner = redis.call('GET', KEYS[3])
if owner and owner ~= worker then return {'started', epoch, ''} end

-- A worker that was killed never releases; its slots come back by expiry.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local held = redis.call('ZSCORE', KEYS[2], sandbox)
if not held then
  local limit = tonumber(ARGV[5])
  local function_full = limit >= 0 and redis.call('ZCARD', KEYS[2]) >= limit
  local account_full = limit < 0 and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4])
  if function_full or account_full then
    -- AWS counts running calls, not sandboxes: an idle one gives its slot up for this request.
    for _, member in ipairs(redis.call('ZRANGE', KEYS[4], 0, 63)) do
      local host, id, owner_arn = string.match(member, '^([^|]*)|([^|]*)|([^|]*)|')
      local counts = account_full or owner_arn == arn
      redis.call('ZREM', KEYS[4], member)
      if counts and redis.call('ZSCORE', KEYS[1], id) then return {'evict', epoch, host .. '|' .. id} end
    end
    return {function_full and 'function' or 'account', epoch, ''}
  end
end
redis.call('ZADD', KEYS[1], now + ttl, sandbox)
redis.call('ZADD', KEYS[2], now + ttl, sandbox)
redis.call('SET', KEYS[3], worker, 'PX', ARGV[7])
return {'granted', epoch, ''}
