#!lua
-- Applies one change of one record, all of it or nothing; if the record is not the one that was loaded, does nothing.
-- Contains no policy.
-- KEYS: record, due index, events, news channel; all in one slot.
-- ARGV: 1 expected token ('' for no record), 2 new value ('' to delete), 3 kind of expiry (PXAT or PX, '' for none),
--   4 time of expiry (ms), 5 due time (us, '' for none), 6 member of the due index, 7 record key of the events,
--   8 id for the entry of the events (* or MS-*), 9.. events.
-- Returns 0, -1 for a conflict, or -2 if the record's key holds another type.
local call, try = redis.call, redis.pcall
local token = try('GETRANGE', KEYS[1], 0, 11)
if type(token) == 'table' then
    return string.sub(token.err, 1, 9) == 'WRONGTYPE' and -2 or token
end
if token ~= ARGV[1] then
    return -1
end
-- A script is not undone when one of its commands fails. So keys of another type fail here, before the first write, and
-- so does a user who may not undo what follows.
local due_before = call('ZSCORE', KEYS[2], ARGV[6])
if ARGV[9] then
    call('XLEN', KEYS[3])
end
for _, undo in ipairs({ { 'XDEL', KEYS[3], '0-1' }, { 'ZADD', KEYS[2], '0', ARGV[6] }, { 'ZREM', KEYS[2], ARGV[6] } }) do
    if not redis.acl_check_cmd(unpack(undo)) then
        return { err = 'NOPERM the user may not use ' .. undo[1] .. ', which undoes a commit that fails' }
    end
end
local entry
-- Takes back the events and the due time if this is the answer of a command that failed.
local function failed(answer)
    if type(answer) ~= 'table' or not answer.err then
        return false
    end
    if due_before then
        try('ZADD', KEYS[2], due_before, ARGV[6])
    else
        try('ZREM', KEYS[2], ARGV[6])
    end
    if entry then
        try('XDEL', KEYS[3], entry)
    end
    return true
end
local answer
-- The events come first: a change without its event must be impossible.
if ARGV[9] then
    local add = { 'XADD', KEYS[3], ARGV[8], 'k', ARGV[7] }
    for at = 9, #ARGV do
        add[#add + 1] = 'e'
        add[#add + 1] = ARGV[at]
    end
    answer = try(unpack(add))
    if failed(answer) then
        return answer
    end
    entry = answer
end
if ARGV[5] == '' then
    answer = try('ZREM', KEYS[2], ARGV[6])
else
    answer = try('ZADD', KEYS[2], ARGV[5], ARGV[6])
end
if failed(answer) then
    return answer
end
if ARGV[2] == '' then
    answer = try('DEL', KEYS[1])
elseif ARGV[3] == '' then
    answer = try('SET', KEYS[1], ARGV[2])
else
    answer = try('SET', KEYS[1], ARGV[2], ARGV[3], ARGV[4])
end
if failed(answer) then
    return answer
end
-- News that is lost costs a watcher some seconds, so it fails no commit.
try('SPUBLISH', KEYS[4], '')
return 0
