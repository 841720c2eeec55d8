#!lua
-- Returns amounts to quotas, in whole microseconds.
-- KEYS: buckets. ARGV: 1 now (us, '' for the server's clock), 2 how long a bucket above its capacity is kept (ms),
-- then for each bucket: the amount returned (us), how far the bucket may exceed its capacity (us).
-- A bucket is stored as in draw.lua.
local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
for at, key in ipairs(KEYS) do
    local full_at = tonumber(redis.call('GET', key) or 0)
    local missing = full_at < 0 and full_at or math.max(full_at - now, 0)
    -- A bucket that exceeds its capacity by more than the given limit keeps what it has.
    local floor = math.min(missing, -tonumber(ARGV[2 * at + 2]))
    missing = math.max(missing - tonumber(ARGV[2 * at + 1]), floor)
    if missing > 0 then
        redis.call('SET', key, now + missing, 'PX', math.ceil(missing / 1000))
    elseif missing < 0 then
        redis.call('SET', key, missing, 'PX', ARGV[2])
    else
        redis.call('DEL', key)
    end
end
return 1
