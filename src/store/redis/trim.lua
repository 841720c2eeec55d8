#!lua
-- Deletes the oldest entries of a shard's events: those older than a time, and those beyond a number of entries.
-- KEYS: events. ARGV: 1 the time (ms), 2 most entries kept, 3 most entries deleted by this call.
-- Returns how many events older than the time were deleted, how many younger ones, how many entries that were, and how
-- many entries are left.
local call, step = redis.call, tonumber(ARGV[3])
local left, deleted, old, young = call('XLEN', KEYS[1]), 0, 0, 0
local function is_old(entry)
    return tonumber(string.match(entry[1], '^%d+')) < tonumber(ARGV[1])
end
local first = call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
if not first or not is_old(first) and left <= tonumber(ARGV[2]) then
    return { 0, 0, 0, left }
end
for _, entry in ipairs(call('XRANGE', KEYS[1], '-', '+', 'COUNT', step)) do
    -- The fields are the record key and the events, each with its name.
    local events = math.max(#entry[2] / 2 - 1, 0)
    if is_old(entry) then
        old = old + events
    elseif left > tonumber(ARGV[2]) then
        young = young + events
    else
        break
    end
    left, deleted = left - 1, deleted + 1
end
call('XTRIM', KEYS[1], 'MAXLEN', '=', left)
return { old, young, deleted, left }
