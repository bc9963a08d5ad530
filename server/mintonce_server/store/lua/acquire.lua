-- ACQUIRE: may this try have the token, wait for it, or mint it?
-- KEYS: record, lease, meta
-- ARGV: nonce, lease ms, credential version, newer than, min remaining ms, meta ms
-- Gives {HIT, row} | {LEASE, generation, ms, failures in a row, print, now} | {WAIT, ms} | {BACKOFF, failure, ms, live row or nothing}
-- row: generation, ms left, ms to the refresh, expiry, lifetime, credential version, payload. print: of the token rejected last, or ""
local nonce, lease_ms, meta_ms = ARGV[1], ARGV[2], ARGV[6]
local cv, newer_than, wish = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local record = redis.call('HMGET', KEYS[1], 'f', 'exp', 'refresh', 'life', 'payload', 'leeway', 'cap', 'cv')
local meta = redis.call('HMGET', KEYS[3], 'f', 'bar', 'cv', 'n', 'until', 'failure', 'until_cv', 'rejected_print')
local function number(value) local n = tonumber(value); return n and n > 0 and n < 2^53 and math.floor(n) or 0 end
local f, bar = number(record[1]), number(meta[2])

local print, row = meta[8] or '', nil
if f > bar and number(record[2]) > now and number(record[8]) >= cv then
  local exp, payload = number(record[2]), record[5] or ''
  row = {f, exp - now, number(record[3]) - now, exp, number(record[4]), number(record[8]), payload}
end
-- 1. HIT: a live token, new enough, with enough left (core.token.wanted).
if row and f > newer_than and row[2] > math.max(number(record[6]), math.min(wish, number(record[7]))) then
  return {'HIT', row}
end
-- 2. The lease is ours: the reply was lost. 3. It is another's.
local lease = redis.call('HMGET', KEYS[2], 'nonce', 'f')
if lease[1] == nonce then return {'LEASE', number(lease[2]), redis.call('PTTL', KEYS[2]), number(meta[4]), print, now} end
if lease[1] then return {'WAIT', math.max(redis.call('PTTL', KEYS[2]), 1)} end
-- 4. The issuer said no lately, to these credentials or newer ones.
if number(meta[5]) > now and number(meta[7]) >= cv then return {'BACKOFF', meta[6] or '', number(meta[5]) - now, row} end
-- 5. Our turn. The clock makes generations rise even after the store lost its data, and so does what the caller has seen.
local generation = math.max(number(meta[1]) + 1, bar + 1, f + 1, newer_than + 1, now)
local failures = number(meta[4])
if cv > number(meta[3]) then failures = 0 end
local text = string.format('%.0f', generation)
redis.call('HSET', KEYS[2], 'nonce', nonce, 'f', text)
redis.call('PEXPIRE', KEYS[2], lease_ms)
redis.call('HSET', KEYS[3], 'f', text, 'cv', string.format('%.0f', math.max(cv, number(meta[3]))), 'n', failures)
-- Never shortened: while a token lives, its barrier does.
if redis.call('PTTL', KEYS[3]) < tonumber(meta_ms) then redis.call('PEXPIRE', KEYS[3], meta_ms) end
return {'LEASE', generation, tonumber(lease_ms), failures, print, now}
