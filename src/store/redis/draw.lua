
-- Draws from quotas by the generic cell rate algorithm (GCRA): from all of them, or from none.
-- For each bucket: the place of its owner in KEYS, the place of its former name or 0, its slot from 1, 1 to skip the
-- bucket if it holds less, interval, capacity, amount wanted, smallest useful amount.
-- Those that may be skipped go together: if one holds less, none of them is drawn from.
-- Returns the amount taken from each bucket, or that would have been; if one is refused, two negative numbers: its
-- place and the wait.
local form = '>I2I2BBi8i8I4I4'
local taken, skipping = {}, false
for at = 3, #ARGV do
    if string.byte(ARGV[at], 6) == 1 then
        local owner, former, slot, _, interval, capacity, _, least = struct.unpack(form, ARGV[at])
        local room = capacity - missing_in(owner, slot, former)
        skipping = skipping or math.floor(room / interval) < least
    end
end
for at = 1, #ARGV - 2 do
    local owner, former, slot, skip, interval, capacity, wanted, least = struct.unpack(form, ARGV[at + 2])
    local missing = missing_in(owner, slot, former)
    local room = capacity - missing
    local count = math.min(wanted, math.floor(room / interval))
    if count >= least then
        if skip == 0 or not skipping then
            set_missing(owner, slot, missing + count * interval)
        end
    elseif skip == 1 then
        count = 0
    else
        return { -at, -(least * interval - room) }
    end
    taken[at] = count
end
write()
return taken
