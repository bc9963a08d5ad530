-- RENEW: extend a lease, if it is still the caller's.
-- KEYS: record, lease, meta
-- ARGV: nonce, generation, lease ms
-- Returns 1 if it is, else 0
local lease = redis.call('HMGET', KEYS[2], 'nonce', 'f')
if lease[1] ~= ARGV[1] or lease[2] ~= ARGV[2] then return 0 end
return redis.call('PEXPIRE', KEYS[2], ARGV[3])
