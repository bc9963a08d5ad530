-- REJECT: a resource server refused this generation. If it is current, drop it, and reject all mints begun before.
-- Current is the record's own generation; the provisional number under which a replica served it in an outage; and the
-- generation granted last, whose token a replica could not commit yet and must not commit now.
-- KEYS: record, lease, meta
-- ARGV: generation, min interval ms, meta ms, channel, message, fingerprint of a token that is not stored, if known
-- Returns {CURRENT, generation} | {OTHER} | {TOO_SOON, ms} | {UNKNOWN}: above every generation granted by this store
local generation = tonumber(ARGV[1])
if generation < 1 then return {'OTHER'} end -- 0 stands for no token
local function number(value) local n = tonumber(value); return n and n > 0 and n < 2^53 and math.floor(n) or 0 end
local meta = redis.call('HMGET', KEYS[3], 'f', 'bar', 'rejected', 'rejected_at', 'rejected_as')
local record = redis.call('HMGET', KEYS[1], 'f', 'print', 'provisional')
local f, provisional = number(record[1]), number(record[3])
if generation > math.max(f, number(meta[2])) and generation == number(meta[1]) then f, provisional, record[2] = generation, 0, ARGV[6] end
if f ~= generation and provisional ~= generation then
  -- Repeated after a lost reply, or by another caller: the same answer, without effect.
  if meta[3] == ARGV[1] or meta[5] == ARGV[1] then return {'CURRENT', number(meta[3])} end
  if generation > math.max(f, provisional, number(meta[1]), number(meta[2])) then return {'UNKNOWN'} end
  return {'OTHER'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local wait = number(meta[4]) + ARGV[2] - now
-- A rejection in the future happened before the clock was set back.
if wait > 0 and wait <= tonumber(ARGV[2]) then return {'TOO_SOON', wait} end
-- The barrier covers mints in progress, too: they began before the rejection, perhaps with the cause of it.
local bar = math.max(number(meta[1]), number(meta[2]), f)
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[3], 'bar', string.format('%.0f', bar), 'rejected', string.format('%.0f', f),
  'rejected_as', string.format('%.0f', provisional), 'rejected_print', record[2] or '', 'rejected_at', string.format('%.0f', now))
if redis.call('PTTL', KEYS[3]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[3], ARGV[3]) end
redis.call('PUBLISH', ARGV[4], ARGV[5])
return {'CURRENT', f}
