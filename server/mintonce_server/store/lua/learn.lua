-- LEARN: what came of a POST to this issuer.
-- KEYS: issuer
-- ARGV: nonce of its ENTER, when that was, failure or '', pause ms, memory ms
-- Gives 1 if the trouble is the issuer's, so that all of its keys wait for the pause; else 0: there is none, or it is the key's
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function number(value) local n = tonumber(value); return n and n > 0 and n < 2^53 and math.floor(n) or 0 end
local state = redis.call('HMGET', KEYS[1], 'ok', 'bad', 'probe', 'told')
if ARGV[3] == '' then
  redis.call('HSET', KEYS[1], 'ok', string.format('%.0f', now))
  redis.call('HDEL', KEYS[1], 'bad', 'until', 'failure', 'probe', 'probe_until')
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
  return 0
end
if state[3] == ARGV[1] then redis.call('HDEL', KEYS[1], 'probe', 'probe_until') end
-- Another key got a token meanwhile.
if number(state[1]) > tonumber(ARGV[2]) then return 0 end
local bad = number(state[2])
if state[4] ~= ARGV[1] then bad = bad + 1 end -- else the reply was lost
redis.call('HSET', KEYS[1], 'bad', bad, 'told', ARGV[1])
-- The first failure may be the key's own. The second in a row is the issuer's.
if bad >= 2 then redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + ARGV[4]), 'failure', ARGV[3]) end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return bad >= 2 and 1 or 0
