#!lua
-- One change of one record: all of it, or nothing if the record is not the one that was loaded. No policy here.
-- KEYS: record, due index, events, news channel; all of one slot.
-- ARGV: 1 expected token ('' for none), 2 new value ('' to delete), 3 keep until (us, '' for ever), 4 due at (us, ''
--       for never), 5 member of the due index, 6 id of events, 7 most events, 8 now (us, '' for the server's clock),
--       9.. events.
-- Answers how many old events had to go, or -1 for a conflict.
if redis.call('GETRANGE', KEYS[1], 0, 11) ~= ARGV[1] then
    return -1
end
if ARGV[2] == '' then
    redis.call('DEL', KEYS[1])
elseif ARGV[3] == '' then
    redis.call('SET', KEYS[1], ARGV[2])
else
    local now = tonumber(ARGV[8])
    if not now then
        local time = redis.call('TIME')
        now = time[1] * 1000000 + time[2]
    end
    local ttl_ms = math.max(1000, math.ceil((ARGV[3] - now) / 1000))
    redis.call('SET', KEYS[1], ARGV[2], 'PX', string.format('%.0f', ttl_ms))
end
if ARGV[4] == '' then
    redis.call('ZREM', KEYS[2], ARGV[5])
else
    redis.call('ZADD', KEYS[2], ARGV[4], ARGV[5])
end
for at = 9, #ARGV do
    redis.call('XADD', KEYS[3], ARGV[6], 'k', ARGV[5], 'e', ARGV[at])
end
redis.call('SPUBLISH', KEYS[4], '')
if #ARGV >= 9 and redis.call('XLEN', KEYS[3]) > tonumber(ARGV[7]) then
    return redis.call('XTRIM', KEYS[3], 'MAXLEN', '~', ARGV[7])
end
return 0
