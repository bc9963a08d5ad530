-- RESEAL: replace a record's payload by the same one, sealed with another key. Does nothing if the record has changed.
-- KEYS: record, lease, meta
-- ARGV: generation, old payload, new payload
-- Returns 1 if it was replaced, else 0. The TTL stays.
local record = redis.call('HMGET', KEYS[1], 'f', 'payload')
if record[1] ~= ARGV[1] or record[2] ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'payload', ARGV[3])
return 1
