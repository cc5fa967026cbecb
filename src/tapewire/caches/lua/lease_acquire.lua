-- Take a lease that nobody else holds.
-- KEYS  1 holder, 2 epoch
-- ARGV  1 who asks, 2 unix time in ms, 3 lease time in ms, 4 seconds to keep the epoch
-- Returns the new epoch as a string, or false while somebody else holds the lease. The epoch
-- is kept when the lease ends, so that it only grows.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return false end

local last = tonumber(redis.call('GET', KEYS[2]) or '0')
local epoch = string.format('%.0f', math.max(last + 1, tonumber(ARGV[2])))
redis.call('SET', KEYS[2], epoch, 'EX', ARGV[4])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return epoch
