-- ENTER: may a POST to this issuer begin? The state is shared by all keys of one account at the issuer.
-- KEYS: account
-- ARGV: nonce (the part before a dash names the key), ms for which a success counts, ms for which a single POST holds the
--   others back, longest back-off ms, TTL ms, ms after a pause during which keys that failed yield to others
-- Returns {GO, now, failures since the last success} | {WAIT, ms} | {BACKOFF, failure, ms}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function number(value) local n = tonumber(value); return n and n > 0 and n < 2^53 and math.floor(n) or 0 end
local state = redis.call('HMGET', KEYS[1], 'ok', 'bad', 'until', 'failure', 'probe', 'probe_until', 'failed', 'failed_until')
local ok, bad, pause, left = number(state[1]), number(state[2]), number(state[3]) - now, number(state[6]) - now
local key = string.match(ARGV[1], '^[^-]*')
local has_failed = string.find(' ' .. (state[7] or ''), ' ' .. key .. ' ', 1, true)
if has_failed then pause = math.max(pause, number(state[8]) - now) end
-- A pause that is too long began before the clock was set back.
if pause > 0 and pause <= tonumber(ARGV[4]) then return {'BACKOFF', state[4] or '', pause} end
if bad == 0 and ok <= now and ok + ARGV[2] > now then return {'GO', now, 0} end
-- After a pause, keys that have not failed go first, because their result is more informative.
local first = pause + ARGV[6]
if has_failed and first > 0 and first <= tonumber(ARGV[6]) then return {'WAIT', first} end
-- Without a recent success, one POST goes first and the others wait for its result, but not for an issuer that hangs.
if state[5] and state[5] ~= ARGV[1] and left > 0 and left <= tonumber(ARGV[3]) then return {'WAIT', left} end
redis.call('HSET', KEYS[1], 'probe', ARGV[1], 'probe_until', string.format('%.0f', now + ARGV[3]))
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return {'GO', now, bad}
