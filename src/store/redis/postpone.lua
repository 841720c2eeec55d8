#!lua
-- Moves the due time of a record, without changing the record; if it is not the one that was loaded, does nothing.
-- KEYS: record, due index; both in one slot.
-- ARGV: 1 expected token ('' for no record), 2 due time (us), 3 member of the due index.
-- Returns 1 if it moved, 0 if it is not in the index (it is not added) or was already due then, -1 for a conflict.
local token = redis.pcall('GETRANGE', KEYS[1], 0, 11)
if type(token) == 'table' then
    if string.sub(token.err, 1, 9) ~= 'WRONGTYPE' then
        return token
    end
    -- A load shows a key of another type as no record.
    token = ''
end
-- A load pads a value that is shorter than a token with zeros.
if token ~= ARGV[1] and token .. string.rep('\0', 12 - #token) ~= ARGV[1] then
    return -1
end
return redis.call('ZADD', KEYS[2], 'XX', 'CH', ARGV[2], ARGV[3])
