-- ACQUIRE: get the token, wait for it, or get the lease to mint it.
-- KEYS: record, lease, meta
-- ARGV: nonce, lease ms, credential version, newer than, min remaining ms, meta ms, adopt, longest back-off ms, proof
-- Returns {HIT, row} | {LEASE, generation, ms, failures in a row, rejected fingerprint, live fingerprint, its ms left, now}
--   | {WAIT, ms} | {BACKOFF, failure, ms, live row?}. row: generation, ms left, expiry, credential version, payload
-- adopt: "1" for a generation of a token that was already minted: back-offs are ignored
local nonce, lease_ms, meta_ms = ARGV[1], ARGV[2], ARGV[6]
local cv, newer_than, min_ttl = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local record = redis.call('HMGET', KEYS[1], 'f', 'exp', 'payload', 'leeway', 'cap', 'cv', 'print')
local meta = redis.call('HMGET', KEYS[3], 'f', 'bar', 'cv', 'n', 'until', 'failure', 'until_cv', 'rejected_print', 'while_live')
local function number(value) local n = tonumber(value); return n and n > 0 and n < 2^53 and math.floor(n) or 0 end
local f, bar, row = number(record[1]), number(meta[2]), nil
if f > bar and number(record[2]) > now and number(record[6]) >= cv then
  row = {f, number(record[2]) - now, number(record[2]), number(record[6]), record[3] or ''}
end
-- 1. HIT: a live token, new enough, with enough left (core.token.wanted).
if row and f > newer_than and row[2] > math.max(number(record[4]), math.min(min_ttl, number(record[5]))) then
  return {'HIT', row}
end
-- 2. The lease is the caller's: the reply was lost. 3. It is another holder's.
local lease = redis.call('HMGET', KEYS[2], 'nonce', 'f')
local known = {meta[8] or '', row and record[7] or '', row and row[2] or 0}
local ttl, pause, repeats = redis.call('PTTL', KEYS[2]), number(meta[5]) - now, meta[9] == '1' -- ttl < 0: no valid lease
if ttl >= 0 and lease[1] == nonce then return {'LEASE', number(lease[2]), ttl, number(meta[4]), known[1], known[2], known[3], now} end
if ttl >= 0 and lease[1] then return {'WAIT', math.max(ttl, 1)} end
-- 4. The issuer recently refused this credential, or is unavailable, or repeats its token. Too long: the clock was set back.
local no, why = string.match(ARGV[9] ~= '' and redis.call('HGET', KEYS[3], 'no:' .. ARGV[9]) or '', '^(%d+) (.*)$')
local counts = pause > 0 and number(meta[7]) >= cv and (repeats and row or not repeats and pause <= tonumber(ARGV[8]))
if not counts then pause, why = number(no) - now, why or '' else why = meta[6] or '' end
if ARGV[7] ~= '1' and (counts or pause > 0 and pause <= tonumber(ARGV[8])) then return {'BACKOFF', why, pause, row} end
-- 5. Grant the lease. The clock (µs) and the caller's newest generation make generations rise even after a loss of data.
local generation = math.max(number(meta[1]) + 1, bar + 1, f + 1, newer_than + 1, time[1] * 1000000 + time[2])
local text, failures = string.format('%.0f', generation), cv > number(meta[3]) and 0 or number(meta[4])
redis.call('HSET', KEYS[2], 'nonce', nonce, 'f', text)
redis.call('PEXPIRE', KEYS[2], lease_ms)
redis.call('HSET', KEYS[3], 'f', text, 'cv', string.format('%.0f', math.max(cv, number(meta[3]))), 'n', failures)
if redis.call('PTTL', KEYS[3]) < tonumber(meta_ms) then redis.call('PEXPIRE', KEYS[3], meta_ms) end -- never shortened: the barrier of a live token must last
return {'LEASE', generation, tonumber(lease_ms), failures, known[1], known[2], known[3], now}
