-- Write one flush of a shard, if its place is the expected one.
-- KEYS  1 place, 2 change stream, 3 positions, 4 gaps, 5 names, 6 sequences
-- ARGV  1 expected place, 2 next place, 3 key prefix with the hash tag,
--       4 change stream entry: MessagePack [rows, removed, boards, items, gaps],
--       5 private hashes, 6 positions (both MessagePack maps),
--       7 names and TTLs in seconds to set (MessagePack map), 8 unix time in ms,
--       9 stream length, 10 gaps kept,
--       11 items kept of each event feed of this flush (MessagePack map),
--       12 names of hashes to drop (MessagePack array),
--       13 families and the first date or time, the end of a name, to keep (MessagePack map),
--       14 where the sweep for older ones goes on, 15 names looked at in one flush,
--       16 further private hashes and fields (MessagePack array: hash, field, hash, field, ...),
--       17 and on: their values. Lua hashes every byte of every string, and what lies inside
--       another argument is a string twice: so large values come by themselves
-- Returns {outcome, place found, where the sweep goes on ('0': it is done)}; outcomes: 0 written, 1 already written (the answer was
-- lost), 2 fenced by a newer owner, 3 the store lost writes.
-- Everything is compared before anything is written, since Lua does not roll back; the
-- stream entry goes first, because it is the one write that can be refused.
local call, byte, sub = redis.call, string.byte, string.sub

local WRITTEN, DONE, FENCED, LOST = 0, 1, 2, 3
local expected, following, prefix = ARGV[1], ARGV[2], ARGV[3]
local CHUNK = 6000 -- arguments of one command; Lua's stack ends near 8000

local function parts(place)
  local owner, flush = string.match(place, '^(%d+)-(%d+)$')
  return tonumber(owner), tonumber(flush)
end

local function refusal(found)
  if not found then return LOST end
  local owner, flush = parts(found)
  local our_owner, our_flush = parts(expected)
  if owner > our_owner or (owner == our_owner and flush > our_flush) then return FENCED end
  return LOST
end

local found = call('GET', KEYS[1])
if found == following then return {DONE, found} end
if found ~= expected then return {refusal(found), found or ''} end

-- A reader of the MessagePack that our encoder writes. cmsgpack does not know binary
-- strings, so what holds packed rows is walked here; the rest is left to cmsgpack.
local blob

local function length_at(p, bytes)
  local n = 0
  for i = p, p + bytes - 1 do n = n * 256 + byte(blob, i) end
  return n, p + bytes
end

local function text(p) -- string or binary at p -> value, next position
  local c, n = byte(blob, p), nil
  if c >= 0xa0 and c <= 0xbf then
    n, p = c - 0xa0, p + 1
  elseif c == 0xd9 or c == 0xc4 then
    n, p = byte(blob, p + 1), p + 2
  elseif c == 0xda or c == 0xc5 then
    local high, low = byte(blob, p + 1, p + 2)
    n, p = high * 256 + low, p + 3
  else
    n, p = length_at(p + 1, 4)
  end
  return sub(blob, p, p + n - 1), p + n
end

local function count(p) -- map or array header at p -> number of entries, next position
  local c = byte(blob, p)
  if c <= 0x8f then return c - 0x80, p + 1 end
  if c <= 0x9f then return c - 0x90, p + 1 end
  if c == 0xde or c == 0xdc then return length_at(p + 1, 2) end
  return length_at(p + 1, 4)
end

local function plain(p) -- any value without binary strings at p -> value, next position
  local offset, value = cmsgpack.unpack_one(blob, p - 1)
  return value, (offset < 0) and #blob + 1 or offset + 1
end

local function in_chunks(command, key, values, n)
  for first = 1, n, CHUNK do
    call(command, key, unpack(values, first, math.min(first + CHUNK - 1, n)))
  end
end

local function put_fields(key, p) -- map of field -> binary at p into a hash
  local fields
  fields, p = count(p)
  local values, n = {}, 0
  for _ = 1, fields do
    values[n + 1], p = text(p)
    values[n + 2], p = text(p)
    n = n + 2
  end
  in_chunks('HSET', key, values, n)
  return p
end

local function put_hashes(before, p) -- map of name -> field -> binary at p
  local hashes, name
  hashes, p = count(p)
  for _ = 1, hashes do
    name, p = text(p)
    p = put_fields(before .. name, p)
  end
  return p
end

local function remove_fields(removed)
  for name, fields in pairs(removed) do in_chunks('HDEL', prefix .. name, fields, #fields) end
end

local function change_boards(boards)
  for name, change in pairs(boards) do
    local values, n = {}, 0
    for member, score in pairs(change[1]) do
      values[n + 1], values[n + 2], n = score, member, n + 2
    end
    in_chunks('ZREM', prefix .. name, change[2], #change[2])
    in_chunks('ZADD', prefix .. name, values, n)
  end
end

-- An item is stored as MessagePack [sequence, item]: 0x92, 0xcf, eight bytes, the item.
local kept = cmsgpack.unpack(ARGV[11])

local function add_items(p)
  local feeds, name, items, item
  feeds, p = count(p)
  for _ = 1, feeds do
    name, p = text(p)
    items, p = count(p)
    local sequence = call('HINCRBY', KEYS[6], name, items) - items
    for _ = 1, items do
      item, p = text(p)
      sequence = sequence + 1
      call('RPUSH', prefix .. name, '\146\207' .. struct.pack('>I8', sequence) .. item)
    end
    call('LTRIM', prefix .. name, -kept[name], -1)
  end
  return p
end

local function add_gaps(p)
  local gaps
  gaps, p = count(p)
  if gaps == 0 then return end
  for _ = 1, gaps do
    local _, after = plain(p)
    call('RPUSH', KEYS[4], sub(blob, p, after - 1))
    p = after
  end
  call('LTRIM', KEYS[4], -tonumber(ARGV[10]), -1)
end

local FIXED = {place = 1, positions = 1, changes = 1, gaps = 1, names = 1, sequences = 1}

local function set_lives(lives)
  local now_ms = tonumber(ARGV[8])
  if next(lives) then call('ZREMRANGEBYSCORE', KEYS[5], '-inf', now_ms) end
  for name, ttl_s in pairs(lives) do
    if call('EXPIRE', prefix .. name, ttl_s) == 1 and not FIXED[name] then
      call('ZADD', KEYS[5], now_ms + ttl_s * 1000, name)
    end
  end
  if lives.names then call('EXPIRE', KEYS[5], lives.names) end
end

local function drop(names)
  local keys = {}
  for i = 1, #names do keys[i] = prefix .. names[i] end
  for first = 1, #names, CHUNK do
    call('UNLINK', unpack(keys, first, math.min(first + CHUNK - 1, #keys)))
  end
  in_chunks('ZREM', KEYS[5], names, #names)
end

-- Drop some of the outdated keys: a day's candles are too many for one flush. A name ends
-- in its date or time, or in that and the number of a block.
local function sweep(first_kept)
  if not next(first_kept) then return '0' end
  local found = call('ZSCAN', KEYS[5], ARGV[14], 'COUNT', ARGV[15])
  local names, n = {}, 0
  for i = 1, #found[2], 2 do
    local name = found[2][i]
    local first = first_kept[string.match(name, '^private:[^:]+') or string.match(name, '^[^:]+')]
    local date = first and string.match(name, ':([^:.]+)%.?%d*$')
    if date and date < first then
      n = n + 1
      names[n] = name
    end
  end
  drop(names)
  return found[1]
end

call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[9], following, 'changes', ARGV[4])
call('SET', KEYS[1], following, 'KEEPTTL')

local removed, boards
blob = ARGV[4]
local p = put_hashes(prefix, 2) -- the array's header is one byte
removed, p = plain(p)
boards, p = plain(p)
remove_fields(removed)
change_boards(boards)
add_gaps(add_items(p))

blob = ARGV[5]
put_hashes(prefix .. 'private:', 1)
local direct = cmsgpack.unpack(ARGV[16])
for i = 1, #direct, 2 do
  call('HSET', prefix .. 'private:' .. direct[i], direct[i + 1], ARGV[17 + (i - 1) / 2])
end
blob = ARGV[6]
put_fields(KEYS[3], 1)
set_lives(cmsgpack.unpack(ARGV[7]))
drop(cmsgpack.unpack(ARGV[12]))
return {WRITTEN, following, sweep(cmsgpack.unpack(ARGV[13]))}
