
-- Draws from quotas by the generic cell rate algorithm (GCRA): from all of them, or from none.
-- ARGV, for each bucket: the place of its owner in KEYS, its slot from 1, the place of its former name in KEYS or 0,
-- interval, capacity, amount wanted, smallest useful amount, and 1 to skip the bucket if it holds less.
-- Returns the amount taken from each bucket; if one is refused, two negative numbers: its place and the wait.
local taken = {}
for at = 1, (#ARGV - 2) / 8 do
    local owner, slot, former, interval, capacity, wanted, least, skip = unpack(ARGV, 8 * at - 5, 8 * at + 2)
    owner, slot, interval, least = tonumber(owner), tonumber(slot), tonumber(interval), tonumber(least)
    local missing = missing_in(owner, slot, tonumber(former))
    local room = tonumber(capacity) - missing
    local count = math.min(tonumber(wanted), math.floor(room / interval))
    if count >= least then
        set_missing(owner, slot, missing + count * interval)
    elseif skip == '1' then
        count = 0
    else
        return { -at, -(least * interval - room) }
    end
    taken[at] = count
end
write()
return taken
