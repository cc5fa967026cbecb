-- Give a lease up, if it is the asker's and of the epoch that it was given.
-- KEYS  1 holder, 2 epoch
-- ARGV  1 who asks, 2 the epoch that it was given
-- Returns 1 if it was given up.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return 0 end
return redis.call('DEL', KEYS[1])
