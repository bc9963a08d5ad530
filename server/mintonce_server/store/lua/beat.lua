-- BEAT: say that a replica runs.
-- KEYS: the replica
-- ARGV: TTL ms, then field, value, field, value, ...
-- Returns 1
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
