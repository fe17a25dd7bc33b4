-- activity_take: give the oldest waiting task of an activity to a worker. Those that are over are passed over.
-- KEYS[1] list   hearth:activity-tasks:ARN    {shard, execution, task, token, input} as JSON
-- ARGV    worker's name ('': none)            returns the task, or nil
-- The shards' keys are named in the tasks: hearth:workflows:tokens:N, hearth:workflows:inbox:N.
while true do
  local raw = redis.call('LPOP', KEYS[1])
  if not raw then return false end
  local task = cjson.decode(raw)
  local waiting = redis.call('HGET', 'hearth:workflows:tokens:' .. task.shard, task.execution .. '|' .. task.task)
  if waiting == task.token then
    local message = {signal = 'TaskStarted', task_id = task.task}
    if ARGV[1] ~= '' then message.worker_name = ARGV[1] end
    redis.call('XADD', 'hearth:workflows:inbox:' .. task.shard, '*', 'execution', task.execution,
      'message', cjson.encode(message))
    return raw
  end
end
