-- The timeline that a journal in Redis is in: {its epoch, its last place, its time in ms}, or nil and what is wrong.
--
-- A timeline ends when Redis replicates from another history than before (`master_replid`): after a failover or a start from a
-- snapshot, places that were given out may be given out again. Then another epoch begins, above every place that is known.
--
-- meta: f format, e epoch, r master_replid, s last place, t time of it in ms, b mean bytes of an event.
local function fence(meta, log, fresh, unfenced, known_epoch, known)
  local rid = 'unfenced'
  if unfenced ~= '1' then
    local info = redis.pcall('INFO', 'replication')
    if type(info) ~= 'string' then return nil, 'NOREPLID INFO is refused' end
    if not string.find(info, 'role:master', 1, true) then return nil, 'READONLY this Redis is a replica' end
    rid = string.match(info, 'master_replid:(%w+)')
    if not rid then return nil, 'NOREPLID INFO does not say' end
  end
  local now = redis.call('TIME')
  local ms = now[1] * 1000 + math.floor(now[2] / 1000)
  local m = redis.call('HMGET', meta, 'e', 'r', 's', 't', 'f')
  if m[5] and m[5] ~= '1' then return nil, 'NEWFORMAT ' .. m[5] end
  local e, s, t = m[1], tonumber(m[3] or '0'), math.max(ms, tonumber(m[4] or '0'))
  -- Places that are known already would be given again, or have been: in another log, or in this one after it went back.
  local repeats = known_epoch ~= '' and (s < known or (s == known and e ~= known_epoch))
  if not e or m[2] ~= rid or repeats then
    e, s = fresh, math.max(s, known) + 1
    redis.call('DEL', log)
    redis.call('HSET', meta, 'f', '1', 'e', e, 'r', rid, 's', string.format('%.0f', s), 't', string.format('%.0f', t))
  end
  return {e, s, t}
end
