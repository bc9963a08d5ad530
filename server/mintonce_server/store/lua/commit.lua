-- COMMIT: store a token if its generation is the newest and not rejected. Always ends its lease: a lease kept after a
-- refusal would make all callers wait in vain. restored: "1" for a token that the store lost or never received.
-- KEYS: record, lease, meta
-- ARGV: generation, ttl ms, latest expiry by the store's clock in ms, credential version, expiry margin ms, cap ms,
--   payload, fingerprint, provisional number or 0, restored, ms that meta outlives the token, channel, message
-- Returns {OK | DUP, expiry by the store's clock in ms} | {STALE | REJECTED | OLD_CREDENTIALS | DEAD}
local generation, ttl, cv = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4])
local function number(value) local n = tonumber(value); return n and n > 0 and n < 2^53 and math.floor(n) or 0 end
local function text(value) return string.format('%.0f', value) end
local record = redis.call('HMGET', KEYS[1], 'f', 'exp', 'print')
local meta = redis.call('HMGET', KEYS[3], 'f', 'bar', 'cv')
local f = number(record[1])

if number(redis.call('HGET', KEYS[2], 'f')) == generation then redis.call('DEL', KEYS[2]) end
if f == generation and record[3] == ARGV[8] then return {'DUP', number(record[2])} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- A command may arrive late, from the socket of a stopped server: the token has aged meanwhile.
local exp = math.min(now + ttl, tonumber(ARGV[3]))
if exp <= now then return {'DEAD'} end
if generation <= number(meta[2]) then return {'REJECTED'} end
if cv < number(meta[3]) then return {'OLD_CREDENTIALS'} end
if generation <= f then return {'STALE'} end

redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'f', text(generation), 'exp', text(exp), 'cv', text(cv), 'leeway', ARGV[5], 'cap', ARGV[6],
  'payload', ARGV[7], 'print', ARGV[8], 'provisional', ARGV[9])
redis.call('PEXPIREAT', KEYS[1], text(exp))
redis.call('HSET', KEYS[3], 'f', text(math.max(number(meta[1]), generation)), 'cv', text(math.max(cv, number(meta[3]))))
-- Only a new token shows that the issuer works again.
if ARGV[10] ~= '1' then redis.call('HDEL', KEYS[3], 'n', 'until', 'failure', 'until_cv', 'while_live') end
local remembered = exp - now + ARGV[11] -- never shortened: a barrier must outlast the tokens it rejects
if redis.call('PTTL', KEYS[3]) < remembered then redis.call('PEXPIRE', KEYS[3], text(remembered)) end
redis.call('PUBLISH', ARGV[12], ARGV[13])
return {'OK', exp}
