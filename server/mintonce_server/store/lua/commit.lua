-- COMMIT: store a token if its generation is the newest and not barred. Ends its lease, whatever comes out: a lease kept
-- on a refusal would make all wait for nobody. `restored`: "1" for a token that was minted before and that the store lost.
-- KEYS: record, lease, meta
-- ARGV: generation, ttl ms, refresh ms, credential version, lifetime ms, leeway ms, cap ms, payload,
--   print, restored, meta ms, channel, message, latest expiry by the store's clock in ms or 0
-- Gives {OK | DUP, expiry by the store's clock in ms} | {STALE | REJECTED | OLD_CREDENTIALS | DEAD}
local generation, ttl, cv = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4])
local function number(value) local n = tonumber(value); return n and n > 0 and n < 2^53 and math.floor(n) or 0 end
local function text(value) return string.format('%.0f', value) end
local record = redis.call('HMGET', KEYS[1], 'f', 'exp')
local meta = redis.call('HMGET', KEYS[3], 'f', 'bar', 'cv')
local f = number(record[1])

if number(redis.call('HGET', KEYS[2], 'f')) == generation then redis.call('DEL', KEYS[2]) end
if f == generation then return {'DUP', number(record[2])} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- What lay in the socket of a stopped server comes late: the token has aged meanwhile.
local late = 0
if number(ARGV[14]) > 0 then late = math.max(0, now + ttl - ARGV[14]) end
local exp, refresh = now + ttl - late, now + ARGV[3] - late
if exp <= now then return {'DEAD'} end
if cv < number(meta[3]) then return {'OLD_CREDENTIALS'} end
if generation <= number(meta[2]) then return {'REJECTED'} end
if generation < f then return {'STALE'} end

redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'f', text(generation), 'exp', text(exp), 'refresh', text(refresh),
  'cv', text(cv), 'life', ARGV[5], 'leeway', ARGV[6], 'cap', ARGV[7], 'payload', ARGV[8], 'print', ARGV[9])
redis.call('PEXPIREAT', KEYS[1], text(exp))
redis.call('HSET', KEYS[3], 'f', text(math.max(number(meta[1]), generation)), 'cv', text(math.max(cv, number(meta[3]))))
-- Only a new token says that the issuer is well again.
if ARGV[10] ~= '1' then redis.call('HDEL', KEYS[3], 'n', 'until', 'failure', 'until_cv') end
redis.call('PEXPIRE', KEYS[3], ARGV[11])
redis.call('PUBLISH', ARGV[12], ARGV[13])
return {'OK', exp}
