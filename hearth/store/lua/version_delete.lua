-- version_delete: remove a published version and the records beside it, unless an alias leads to it.
-- KEYS[1] hash   hearth:function:{acct:region}:NAME
-- KEYS[2] hash   hearth:function-versions:{acct:region}:NAME
-- KEYS[3] int    hearth:functions:epoch
-- KEYS[4] string hearth:version:KEY                    stays readable for what is on its way
-- ARGV    number, life of the superseded version (s)   returns the names of the aliases that lead to it
local leading, beside = {}, {}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local kind, name = fields[i]:match('^([^:]+):(.*)$')
  if kind == 'alias' then
    local alias = cjson.decode(fields[i + 1])
    if alias.version == ARGV[1] or alias.weights[ARGV[1]] then leading[#leading + 1] = name end
  elseif name == ARGV[1] then
    beside[#beside + 1] = fields[i]
  end
end
if #leading > 0 then return leading end
if redis.call('HDEL', KEYS[2], ARGV[1]) == 1 then
  for _, field in ipairs(beside) do redis.call('HDEL', KEYS[1], field) end
  redis.call('EXPIRE', KEYS[4], ARGV[2])
  redis.call('INCR', KEYS[3])
end
return leading
