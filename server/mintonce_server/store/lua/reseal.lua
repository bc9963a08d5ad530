-- RESEAL: the same record, sealed by another key. Nothing happens if the record is another by now.
-- KEYS: record, lease, meta
-- ARGV: generation, payload as it was, payload as it shall be
-- Gives 1 if it was changed, else 0. The TTL stays.
local record = redis.call('HMGET', KEYS[1], 'f', 'payload')
if record[1] ~= ARGV[1] or record[2] ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'payload', ARGV[3])
return 1
