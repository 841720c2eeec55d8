
-- Returns amounts to quotas.
-- For each bucket: the place of its owner in KEYS, the place of its former name or 0, its slot from 1, the amount
-- returned, and how far the bucket may exceed its capacity.
for at = 3, #ARGV do
    local owner, former, slot, amount, reserve = struct.unpack('>I2I2Bi8i8', ARGV[at])
    local missing = missing_in(owner, slot, former)
    -- A bucket that exceeds its capacity by more than the given limit keeps what it has.
    local floor = math.min(missing, -reserve)
    set_missing(owner, slot, math.max(missing - amount, floor))
end
write()
return 1
