-- Go on asking the provider for one thing.
-- KEYS  1 flight
-- ARGV  1 who asks, 2 ms until somebody else may ask instead
-- Returns 1, or 0 when somebody else asks by now.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
