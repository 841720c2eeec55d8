#!lua
-- Moves the due time of a record that stays as it is, unless the record is not the one that was loaded.
-- KEYS: record, due index; both of one slot.
-- ARGV: 1 expected token ('' for none), 2 due at (us), 3 member of the due index.
-- Answers 1 if it moved, 0 if it is not in the index (it is not added) or was due then already, -1 for a conflict.
local token = redis.pcall('GETRANGE', KEYS[1], 0, 11)
if type(token) == 'table' then
    if string.sub(token.err, 1, 9) ~= 'WRONGTYPE' then
        return token
    end
    -- A key of another type is loaded as if it did not exist.
    token = ''
end
-- A value that is too short for a token is loaded as if zeros followed.
if token ~= ARGV[1] and token .. string.rep('\0', 12 - #token) ~= ARGV[1] then
    return -1
end
return redis.call('ZADD', KEYS[2], 'XX', 'CH', ARGV[2], ARGV[3])
