-- attach: what a reader does first, and after each interruption. Follows fence.lua.
--
-- KEYS  meta, log
-- ARGV  an epoch for another timeline (8 hexadecimal digits), '1' for unfenced, the reader's epoch or '', its last place
-- Gives {epoch, last place}.
local m, problem = fence(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]))
if not m then return redis.error_reply(problem) end
return {m[1], string.format('%.0f', m[2])}
