#!lua
-- One change of one record: all of it, or nothing if the record is not the one that was loaded. No policy here.
-- KEYS: record, due index, events, news channel; all of one slot.
-- ARGV: 1 expected token ('' for none), 2 new value ('' to delete), 3 how it expires (PXAT or PX, '' for never), 4 when
--       (ms), 5 due at (us, '' for never), 6 member of the due index, 7 id of events, 8 most events, 9.. events.
-- Answers how many old events had to go, or -1 for a conflict.
local call = redis.call
if call('GETRANGE', KEYS[1], 0, 11) ~= ARGV[1] then
    return -1
end
if ARGV[2] == '' then
    call('DEL', KEYS[1])
elseif ARGV[3] == '' then
    call('SET', KEYS[1], ARGV[2])
else
    call('SET', KEYS[1], ARGV[2], ARGV[3], ARGV[4])
end
if ARGV[5] == '' then
    call('ZREM', KEYS[2], ARGV[6])
else
    call('ZADD', KEYS[2], ARGV[5], ARGV[6])
end
for at = 9, #ARGV do
    call('XADD', KEYS[3], ARGV[7], 'k', ARGV[6], 'e', ARGV[at])
end
call('SPUBLISH', KEYS[4], '')
if ARGV[9] and call('XLEN', KEYS[3]) > tonumber(ARGV[8]) then
    return call('XTRIM', KEYS[3], 'MAXLEN', '~', ARGV[8])
end
return 0
