-- append: what a publisher does. Follows fence.lua.
--
-- KEYS  meta, log, the publisher's own key
-- ARGV  1 an epoch for another timeline, 8 random hexadecimal digits
--       2 the highest place that the publisher knows of, above which another timeline begins; 0 for none
--       3 '1' for unfenced, else '0'
--       4 how long events are kept, in ms
--       5 how many bytes of them are kept, about
--       6 the epoch of its last acknowledged record, '' for none
--       7 the number of that record, 0 for none
--       and seven for each record: its number (they grow), kind ('e' event, 'l' loss), channel, event name, data, retry in ms,
--       comment. A loss has the names of channels as a JSON array in data, empty for all channels.
-- Gives {epoch, the publisher's last number here, place of the first record, of the second, ...}.
--
-- A call whose answer was lost is repeated as it is, perhaps with more records: those that are there are not appended again.
-- Without places nothing was appended: acknowledged records are not in this timeline, and perhaps it began before they were
-- acknowledged. The publisher appends a loss on their channels, by another key, and then calls again with '' and 0.
local m, problem = fence(KEYS[1], KEYS[2], ARGV[1], ARGV[3], '', tonumber(ARGV[2]))
if not m then return redis.error_reply(problem) end
local e, s, t = m[1], m[2], m[3]
local p = redis.call('HMGET', KEYS[3], 'n', 'e', 'b')
local last = tonumber(p[1] or '0')
if ARGV[6] ~= '' and ARGV[6] ~= e and last < tonumber(ARGV[7]) then return {e, string.format('%.0f', last)} end

-- What was appended in a timeline before is not in this one.
local done = p[2] == e and last or 0
-- The places of the last call's records, by their numbers.
local places = {}
if p[3] and ARGV[8] and tonumber(ARGV[8]) <= done then
  local known = cmsgpack.unpack(p[3])
  for i = 1, #known, 2 do places[known[i]] = known[i + 1] end
end
local cut = string.format('%.0f', math.max(0, t - ARGV[4]))
local answer, call, before, bytes = {e, string.format('%.0f', last)}, {}, s, 0
for i = 8, #ARGV, 7 do
  local number = tonumber(ARGV[i])
  local place = places[number] or 0
  if number > done then
    s = s + 1
    place = s
    redis.call('XADD', KEYS[2], 'MINID', '~', cut, string.format('%.0f-%.0f', t, s), 'k', ARGV[i + 1], 'c', ARGV[i + 2],
      'n', ARGV[i + 3], 'd', ARGV[i + 4], 'r', ARGV[i + 5], 'm', ARGV[i + 6])
    bytes = bytes + #ARGV[i + 2] + #ARGV[i + 3] + #ARGV[i + 4] + #ARGV[i + 6] + 32
    last = number
  end
  answer[#answer + 1] = string.format('%.0f', place)
  call[#call + 1] = number
  call[#call + 1] = place
end
if s > before then
  redis.call('HSET', KEYS[1], 's', string.format('%.0f', s), 't', string.format('%.0f', t))
  redis.call('HSET', KEYS[3], 'n', string.format('%.0f', last), 'e', e, 'b', cmsgpack.pack(call))
  redis.call('EXPIRE', KEYS[3], 3600)
  if math.floor(s / 1000) > math.floor(before / 1000) then
    -- Redis cannot trim by bytes.
    local mean = tonumber(redis.call('HGET', KEYS[1], 'b') or '0')
    local this = bytes / (s - before)
    mean = mean > 0 and (mean * 7 + this) / 8 or this
    redis.call('HSET', KEYS[1], 'b', string.format('%.0f', mean))
    redis.call('XTRIM', KEYS[2], 'MAXLEN', '~', string.format('%.0f', math.max(1000, ARGV[5] / mean)))
  end
end
return answer
