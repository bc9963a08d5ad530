-- COUNT: add a batch of counts to a client's month, once, however often it is sent. A field that cannot be read counts as 0.
-- KEYS: the month
-- ARGV: replica, number of the batch (rises by one), TTL ms, first ms of the month, first ms of the next month, tokens
--   minted, then field, count, field, count, ...
-- Returns {OK, now} | {OTHER, now}: it is another month by the store's clock, and nothing was added
-- Number 0 only forgets the replica, which sends no more.
local function number(value) local n = tonumber(value); return n and n > 0 and n < 2^53 and math.floor(n) or 0 end
local time = redis.call('TIME')
local now, batch = time[1] * 1000 + math.floor(time[2] / 1000), 'batch:' .. ARGV[1]
if ARGV[2] == '0' then redis.call('HDEL', KEYS[1], batch); return {'OK', now} end
-- First of all: the reply to it may have been lost before the month ended.
if tonumber(ARGV[2]) <= number(redis.call('HGET', KEYS[1], batch)) then return {'OK', now} end
if now < tonumber(ARGV[4]) or now >= tonumber(ARGV[5]) then return {'OTHER', now} end
local function add(name, count)
  redis.call('HSET', KEYS[1], name, string.format('%.0f', number(redis.call('HGET', KEYS[1], name)) + count))
end
for i = 7, #ARGV, 2 do add(ARGV[i], ARGV[i + 1]) end
if tonumber(ARGV[6]) > 0 then add('day:' .. math.floor((now - ARGV[4]) / 86400000) + 1, ARGV[6]) end
redis.call('HSET', KEYS[1], batch, ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {'OK', now}
