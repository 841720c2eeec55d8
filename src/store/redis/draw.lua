#!lua
-- Draws from quotas by the generic cell rate algorithm (GCRA), in whole microseconds: from all of them, or from none.
-- KEYS: buckets. ARGV: 1 now (us, '' for the server's clock), then for each bucket: interval (us), capacity (us),
-- amount wanted, smallest useful amount, and 1 to skip the bucket if it holds less.
-- A bucket is stored as the time at which it is full (us). Below zero it is above its capacity, by that many us.
-- Returns the amount taken from each bucket; if one is refused, two negative numbers: its place and the wait (us).
local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
local after, taken, stored = {}, {}, redis.call('MGET', unpack(KEYS))
for at, key in ipairs(KEYS) do
    local interval, capacity, wanted, least, skip = unpack(ARGV, 5 * at - 3, 5 * at + 1)
    interval, least = tonumber(interval), tonumber(least)
    -- A bucket that is named twice is drawn twice.
    local missing = after[key]
    if not missing then
        local full_at = tonumber(stored[at] or 0)
        missing = full_at < 0 and full_at or math.max(full_at - now, 0)
    end
    local room = tonumber(capacity) - missing
    local count = math.min(tonumber(wanted), math.floor(room / interval))
    if count >= least then
        after[key] = missing + count * interval
    elseif skip == '1' then
        count = 0
    else
        return { -at, -(least * interval - room) }
    end
    taken[at] = count
end
-- Whole numbers below 2^53 are sent to the server with all their digits.
for key, missing in pairs(after) do
    if missing > 0 then
        redis.call('SET', key, now + missing, 'PX', math.ceil(missing / 1000))
    elseif missing < 0 then
        redis.call('SET', key, missing, 'KEEPTTL')
    else
        redis.call('DEL', key)
    end
end
return taken
