#!lua
-- Heartbeat of one process. KEYS: the set of live processes. ARGV: 1 this process, 2 how long a process is remembered
-- without a heartbeat (us). Returns the live processes.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - ARGV[2]))
redis.call('PEXPIRE', KEYS[1], 3600000)
return redis.call('ZRANGE', KEYS[1], 0, -1)
