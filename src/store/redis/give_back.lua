
-- Returns amounts to quotas.
-- ARGV, for each bucket: the place of its owner in KEYS, its slot from 1, the place of its former name in KEYS or 0,
-- the amount returned, and how far the bucket may exceed its capacity.
for at = 1, (#ARGV - 2) / 5 do
    local owner, slot, former, amount, reserve = unpack(ARGV, 5 * at - 2, 5 * at + 2)
    owner, slot = tonumber(owner), tonumber(slot)
    local missing = missing_in(owner, slot, tonumber(former))
    -- A bucket that exceeds its capacity by more than the given limit keeps what it has.
    local floor = math.min(missing, -tonumber(reserve))
    set_missing(owner, slot, math.max(missing - tonumber(amount), floor))
end
write()
return 1
