-- End asking the provider for one thing, with or without a result.
-- KEYS  1 flight, 2 where the result goes, 3 hash that becomes the result (optional)
-- ARGV  1 who asks, 2 ms that the result lives; 0: there is none, 3 the result as a string
-- Returns 1, or 0 when somebody else asks by now: then nothing is written.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] ~= '0' then
  if KEYS[3] then
    redis.call('RENAME', KEYS[3], KEYS[2])
    redis.call('PEXPIRE', KEYS[2], ARGV[2])
  else
    redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2])
  end
end
redis.call('DEL', KEYS[1])
return 1
