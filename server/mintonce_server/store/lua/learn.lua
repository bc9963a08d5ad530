-- LEARN: record the outcome of a POST to this issuer.
-- KEYS: account
-- ARGV: nonce of its ENTER, time of its ENTER, failure or '', pause ms, TTL ms, ms after a success during which a key that
--   failed before it counts as the cause of its failures, maximum number of keys
-- Returns 1 if the issuer may be the cause, 0 for a success or if the key is. If a second key fails, too, all keys wait.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function number(value) local n = tonumber(value); return n and n > 0 and n < 2^53 and math.floor(n) or 0 end
-- The newest keys of both lists, each once, without this one. In a list, each key is followed by a space.
local function without(key, older, newer)
  local keys, seen = {}, {[key] = true}
  for one in string.gmatch(older .. newer, '%S+') do
    if not seen[one] then seen[one] = true; table.insert(keys, one .. ' ') end
  end
  return table.concat(keys, '', math.max(1, #keys - ARGV[7] + 1))
end
local state = redis.call('HMGET', KEYS[1], 'ok', 'bad', 'probe', 'told', 'failed', 'own')
local key, ok, failed, own = string.match(ARGV[1], '^[^-]*'), number(state[1]), state[5] or '', state[6] or ''
if ARGV[3] == '' then
  redis.call('HSET', KEYS[1], 'ok', string.format('%.0f', now), 'own', without(key, own, failed))
  redis.call('HDEL', KEYS[1], 'bad', 'until', 'failure', 'probe', 'probe_until', 'failed', 'failed_until')
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
  return 0
end
if state[3] == ARGV[1] then redis.call('HDEL', KEYS[1], 'probe', 'probe_until') end
-- Another key got a token meanwhile, or others do while this key always fails.
if ok > tonumber(ARGV[2]) then return 0 end
if string.find(' ' .. own, ' ' .. key .. ' ', 1, true) and ok <= now and ok + ARGV[6] > now then return 0 end
local bad = number(state[2])
if state[4] ~= ARGV[1] then bad = bad + 1 end -- otherwise the reply was lost
local others = without(key, failed, '')
redis.call('HSET', KEYS[1], 'bad', bad, 'told', ARGV[1], 'failed', without('', others, key))
-- The first failure may have its cause in the key; that of a second key in a row is the issuer's. A repeated failure of a
-- key is not informative: the keys that failed wait, and another key may try.
local ends = string.format('%.0f', now + ARGV[4])
if others ~= '' then redis.call('HSET', KEYS[1], 'failed_until', ends, 'failure', ARGV[3]) end
if others ~= '' and without('', '', failed) == others then redis.call('HSET', KEYS[1], 'until', ends) end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return bad >= 2 and 1 or 0
