-- Extend a lease.
-- KEYS  1 holder, 2 epoch
-- ARGV  1 who asks, 2 the epoch that it was given, 3 lease time in ms, 4 seconds to keep the epoch
-- Returns 1 if it is held, 0 if it is refused: somebody took it since. A lease that ran out
-- while the server was away, and that nobody took, is still its last holder's.
local holder = redis.call('GET', KEYS[1])
local epoch = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] then return 0 end
if epoch and epoch ~= ARGV[2] then return 0 end

redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[4])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 1
