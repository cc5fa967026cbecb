-- Become the owner of a shard.
-- KEYS  1 place, 2 change stream, 3 positions
-- ARGV  1 unix time in ms, 2 TTL of the place in seconds
-- Returns the new place and the positions as a flat list. The stream's newest entry counts
-- too: entry IDs must grow, even if the place was lost and the clock went backwards.
local owner = tonumber(ARGV[1])

local function above(place)
  local last = tonumber(string.match(place, '^(%d+)-%d+$'))
  if last and last >= owner then owner = last + 1 end
end

above(redis.call('GET', KEYS[1]) or '')
local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
if newest[1] then above(newest[1][1]) end

local place = string.format('%.0f-0', owner)
redis.call('SET', KEYS[1], place, 'EX', ARGV[2])
return {place, redis.call('HGETALL', KEYS[3])}
