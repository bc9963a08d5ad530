-- BARRIER: restore a rejection that this store has lost and a replica remembers, once for the fleet.
-- KEYS: record, lease, meta
-- ARGV: rejected generation, its fingerprint, min interval ms, meta ms, channel, message
-- Returns {OK} | {TOO_SOON, ms}
local generation = tonumber(ARGV[1])
local function number(value) local n = tonumber(value); return n and n > 0 and n < 2^53 and math.floor(n) or 0 end
local meta = redis.call('HMGET', KEYS[3], 'f', 'bar', 'rejected_at')
if number(meta[2]) >= generation then return {'OK'} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local f = number(redis.call('HGET', KEYS[1], 'f'))
local barred = f > 0 and f <= generation
-- Dropping a record costs a mint, as a rejection does, so it happens no more often than rejections.
local wait = number(meta[3]) + ARGV[3] - now
if barred and wait > 0 and wait <= tonumber(ARGV[3]) then return {'TOO_SOON', wait} end
if barred then redis.call('DEL', KEYS[1]) end
if number(redis.call('HGET', KEYS[2], 'f')) <= generation then redis.call('DEL', KEYS[2]) end
local text = string.format('%.0f', generation)
redis.call('HSET', KEYS[3], 'f', string.format('%.0f', math.max(number(meta[1]), generation)), 'bar', text, 'rejected', text,
  'rejected_as', '0', 'rejected_print', ARGV[2])
redis.call('PEXPIRE', KEYS[3], ARGV[4])
if barred then
  redis.call('HSET', KEYS[3], 'rejected_at', string.format('%.0f', now))
  redis.call('PUBLISH', ARGV[5], ARGV[6])
end
return {'OK'}
