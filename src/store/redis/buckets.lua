#!lua
-- The buckets of quotas, for the scripts that draw from them and return to them; all times in whole microseconds.
-- KEYS: first the owners, then former names of buckets. ARGV: 1 now ('' for the server's clock), 2 how long a bucket
-- above its capacity is kept, then one string of binary big-endian numbers for each bucket.
-- An owner is stored as one string with eight bytes for each of its buckets: a signed big-endian number, the time at
-- which the bucket is full. Below zero it is above its capacity, by that much. Zero, or beyond the end: never drawn from.
-- Version 0.1 stored each bucket by itself, as a decimal number: a bucket never drawn from continues there.
local now, beyond_kept = tonumber(ARGV[1]), tonumber(ARGV[2])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
local owners = {}

-- Reads the buckets of an owner.
local function read(owner)
    local stored = redis.call('GET', KEYS[owner]) or ''
    local buckets = { struct.unpack('>' .. string.rep('i8', #stored / 8), stored) }
    -- The last value is where the reading ended.
    buckets[#buckets] = nil
    owners[owner] = buckets
    return buckets
end

-- The time until a bucket is full. `former` is the place of its former name in KEYS; 0: it has none.
local function missing_in(owner, slot, former)
    local full_at = (owners[owner] or read(owner))[slot] or 0
    if full_at == 0 and former > 0 then
        full_at = tonumber(redis.call('GET', KEYS[former]) or 0)
    end
    return full_at < 0 and full_at or math.max(full_at - now, 0)
end

-- Sets the time until a bucket is full.
local function set_missing(owner, slot, missing)
    local buckets = owners[owner]
    for before = #buckets + 1, slot - 1 do
        buckets[before] = 0
    end
    buckets[slot] = missing < 0 and missing or now + missing
end

-- Writes the owners. Each is kept as long as the bucket that takes the longest.
local function write()
    for owner, buckets in pairs(owners) do
        local kept = 0
        for at = 1, #buckets do
            local full_at = buckets[at]
            kept = math.max(kept, full_at < 0 and beyond_kept or full_at - now)
        end
        if kept > 0 then
            local packed = struct.pack('>' .. string.rep('i8', #buckets), unpack(buckets))
            redis.call('SET', KEYS[owner], packed, 'PX', math.ceil(kept / 1000))
        else
            redis.call('DEL', KEYS[owner])
        end
    end
end
