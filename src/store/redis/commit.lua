#!lua
-- Applies one change of one record; if the record is not the one that was loaded, does nothing. Contains no policy.
-- KEYS: record, due index, events, news channel; all in one slot.
-- ARGV: 1 expected token ('' for no record), 2 new value ('' to delete), 3 kind of expiry (PXAT or PX, '' for none),
--   4 time of expiry (ms), 5 due time (us, '' for none), 6 member of the due index, 7 record key of the events,
--   8 id for the events (* or MS-*), 9 most events kept, 10.. events.
-- Returns the number of old events dropped, -1 for a conflict, or -2 if the record's key holds another type.
local call = redis.call
local token = redis.pcall('GETRANGE', KEYS[1], 0, 11)
if type(token) == 'table' then
    return string.sub(token.err, 1, 9) == 'WRONGTYPE' and -2 or token
end
if token ~= ARGV[1] then
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
-- The events come after the write, but a script is atomic: no reader sees one without the other.
for at = 10, #ARGV do
    call('XADD', KEYS[3], ARGV[8], 'k', ARGV[7], 'e', ARGV[at])
end
call('SPUBLISH', KEYS[4], '')
if ARGV[10] and call('XLEN', KEYS[3]) > tonumber(ARGV[9]) then
    return call('XTRIM', KEYS[3], 'MAXLEN', '~', ARGV[9])
end
return 0
