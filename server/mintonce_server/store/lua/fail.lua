-- FAIL: the mint of this lease failed. Only its holder can report that, and only once: it ends the lease.
-- KEYS: record, lease, meta
-- ARGV: nonce, generation, retry ms, failure, credential version, meta ms, channel, message, while live, proof, own
-- proof: identifies the refused credential, so that another one is tried at once; "" for any other failure
-- own: 0 for a failure of the issuer, which does not count among the key's failures in a row
-- Returns 1 if it was recorded, else 0
local lease = redis.call('HMGET', KEYS[2], 'nonce', 'f')
if lease[1] ~= ARGV[1] or lease[2] ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = string.format('%.0f', now + ARGV[3])
if ARGV[10] == '' then
  redis.call('HSET', KEYS[3], 'until', ends, 'failure', ARGV[4], 'until_cv', ARGV[5], 'while_live', ARGV[9])
else
  for _, field in ipairs(redis.call('HKEYS', KEYS[3])) do -- remove entries of replaced credentials
    local past = string.sub(field, 1, 3) == 'no:' and string.match(redis.call('HGET', KEYS[3], field), '^%d+')
    if past and tonumber(past) <= now then redis.call('HDEL', KEYS[3], field) end
  end
  redis.call('HSET', KEYS[3], 'no:' .. ARGV[10], ends .. ' ' .. ARGV[4])
end
redis.call('HINCRBY', KEYS[3], 'n', ARGV[11])
if redis.call('PTTL', KEYS[3]) < tonumber(ARGV[6]) then redis.call('PEXPIRE', KEYS[3], ARGV[6]) end
redis.call('PUBLISH', ARGV[7], ARGV[8])
return 1
