-- lease: who forwards events to GRIP proxies. It does without fence.lua: a lease is not bound to a timeline.
--
-- KEYS  who has the lease, up to where everything is forwarded
-- ARGV  the caller, 'take', 'keep' or 'leave', for how long in ms, a position to note or ''
-- Gives 1 when the caller has it, else 0.
local holder = redis.call('GET', KEYS[1])
if holder ~= ARGV[1] and (holder or ARGV[2] ~= 'take') then return 0 end
if ARGV[2] == 'leave' then return redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
if ARGV[4] ~= '' then redis.call('SET', KEYS[2], ARGV[4]) end
return 1
