#!lua
-- Draws from quotas by the generic cell rate algorithm, in whole microseconds: from all of them, or from none.
-- KEYS: buckets. ARGV: 1 now (us, '' for the server's clock), then for each bucket: interval, capacity (us), wanted.
-- Answers how many were taken from each, or the place of the first that has none and the wait (us) as two negatives.
local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
local tats, taken, stored = {}, {}, redis.call('MGET', unpack(KEYS))
for at, key in ipairs(KEYS) do
    local interval, capacity, wanted = tonumber(ARGV[3 * at - 1]), tonumber(ARGV[3 * at]), tonumber(ARGV[3 * at + 1])
    -- A bucket that comes twice gives twice.
    local from = math.max(now, tats[key] or tonumber(stored[at] or 0))
    local room = now + capacity - from
    local count = math.min(math.max(wanted, 1), math.floor(room / interval))
    if count < 1 then
        return { -at, -(interval - room) }
    end
    tats[key] = from + count * interval
    taken[at] = count
end
-- Whole numbers below 2^53 reach the server as they are, with all their digits.
for key, tat in pairs(tats) do
    redis.call('SET', key, tat, 'PX', math.ceil((tat - now) / 1000))
end
return taken
