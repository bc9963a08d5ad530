"""Mutants of store/lua/*.lua but reject.lua and barrier.lua, and those of H14 (protocol.md), which come first."""

from mutants.mutant import lua, lua_alone
from mutants.of_credentials import REFUSALS
from mutants.of_issuers import GATE
from mutants.of_rejections import BARRIER, REJECT

END_LEASE = "if number(redis.call('HGET', KEYS[2], 'f')) == generation then redis.call('DEL', KEYS[2]) end"
NOT_HELD = "if lease[1] ~= ARGV[1] or lease[2] ~= ARGV[2] then return 0 end"
META_TTL = "if redis.call('PTTL', KEYS[3]) < tonumber(meta_ms) then redis.call('PEXPIRE', KEYS[3], meta_ms) end"

H14 = (
    lua(
        "no fence", "commit", "if generation <= f then", "if generation == f then", "a late mint replaces a newer token"
    ),
    lua(
        "no barrier",
        "commit",
        "if generation <= number(meta[2]) then",
        "if false then",
        "a mint begun before a rejection brings back what was rejected",
    ),
    lua(
        "blind release", "fail", NOT_HELD, "if not lease[1] then return 0 end", "a stalled holder ends another's lease"
    ),
    lua(
        "blind reject",
        "reject",
        "if f ~= generation and provisional ~= generation then",
        "if f == 0 then",
        "a late rejection of an old token drops its successor",
    ),
    lua(
        "non-idempotent acquire",
        "acquire",
        "if ttl >= 0 and lease[1] == nonce then",
        "if false then",
        "after a lost reply a replica waits for itself",
    ),
    lua(
        "kept dead lease",
        "commit",
        END_LEASE,
        END_LEASE.replace("== generation then", "== generation and ttl > 0 and cv >= number(meta[3]) then"),
        "after a refused commit all wait in vain",
    ),
)

ACQUIRE = (
    lua(
        "a lease can be taken away",
        "acquire",
        "if ttl >= 0 and lease[1] then return {'WAIT'",
        "if false then return {'WAIT'",
        "two mint at once",
    ),
    lua(
        "a HIT by old credentials",
        "acquire",
        " and number(record[6]) >= cv then",
        " then",
        "a new secret's replica serves old tokens",
    ),
    lua(
        "a HIT that is not newer",
        "acquire",
        "if row and f > newer_than and",
        "if row and",
        "a refresh brings the old token",
    ),
    lua(
        "a HIT inside the leeway",
        "acquire",
        "math.max(number(record[4]), math.min(min_ttl, number(record[5])))",
        "math.min(min_ttl, number(record[5]))",
        "tokens are served that end on their way",
    ),
    lua(
        "an endless min_ttl",
        "acquire",
        "math.min(min_ttl, number(record[5]))",
        "min_ttl",
        "who wants more than there can be mints each time",
    ),
    lua(
        "a lease inside the back-off",
        "acquire",
        "local counts = pause > 0 and",
        "local counts = false and",
        "the issuer gets the next POST too soon",
    ),
    lua_alone(
        "a back-off without a bound",
        "acquire",
        "not repeats and pause <= tonumber(ARGV[8]))",
        "not repeats)",
        "after the clock was set back, or by one foreign write, a key is closed for as long",
    ),
    lua_alone(
        "a lease without an end",
        "acquire",
        "if ttl >= 0 and lease[1] then return {'WAIT'",
        "if lease[1] then return {'WAIT'",
        "one foreign write closes a key until an operator finds it",
    ),
    lua(
        "a back-off for all credentials",
        "acquire",
        " and number(meta[7]) >= cv and",
        " and",
        "a new secret does not help before the back-off ends",
    ),
    lua(
        "a back-off without the token",
        "acquire",
        "why, pause, row}",
        "why, pause}",
        "a live token is not served in a back-off",
    ),
    lua(
        "generations without the clock",
        "acquire",
        "newer_than + 1, time[1] * 1000000 + time[2])",
        "newer_than + 1)",
        "numbers come again after a loss",
    ),
    lua(
        "generations by the clock alone",
        "acquire",
        "math.max(number(meta[1]) + 1, bar + 1, f + 1, newer_than + 1, time[1] * 1000000 + time[2])",
        "now * 1000",
        "two leases in a millisecond have one number",
    ),
    lua(
        "generations that forget leases",
        "acquire",
        "math.max(number(meta[1]) + 1, ",
        "math.max(",
        "a number is given out twice",
    ),
    lua(
        "generations that the asker has seen",
        "acquire",
        "newer_than + 1, time[1] * 1000000 + time[2])",
        "time[1] * 1000000 + time[2])",
        "a barred generation is minted again",
    ),
    lua(
        "failures of the old secret",
        "acquire",
        "cv > number(meta[3]) and 0 or number(meta[4])",
        "number(meta[4])",
        "a new secret waits for the old one's faults",
    ),
    lua(
        "a lease that hides its credentials",
        "acquire",
        "string.format('%.0f', math.max(cv, number(meta[3])))",
        "string.format('%.0f', number(meta[3]))",
        "a token of the old secret replaces the new one's",
    ),
    lua(
        "a lease for ever",
        "acquire",
        "redis.call('PEXPIRE', KEYS[2], lease_ms)\n",
        "",
        "after a crash no replica ever mints again",
    ),
    lua("a meta for ever", "acquire", META_TTL, "", "keys that are not used stay"),
    lua(
        "a lease that hides what was rejected",
        "acquire",
        "tonumber(lease_ms), failures, known[1],",
        "tonumber(lease_ms), failures, '',",
        "an issuer that repeats a rejected token is not noticed",
    ),
    lua(
        "a repeated lease that hides what was rejected",
        "acquire",
        "ttl, number(meta[4]), known[1],",
        "ttl, number(meta[4]), '',",
        "the same, after a lost reply",
    ),
    lua(
        "a lease that hides what is live",
        "acquire",
        "row and record[7] or ''",
        "''",
        "an issuer that repeats its token until that ends gets POST after POST",
    ),
    lua(
        "a lease that hides how long it lives",
        "acquire",
        "row and row[2] or 0}",
        "0}",
        "the same: a repeated token seems to live longer than the stored one",
    ),
    lua(
        "a number that waits for the issuer",
        "acquire",
        "if ARGV[7] ~= '1' and ",
        "if ",
        "a token minted without the store stays unknown to the fleet for as long as the issuer is down",
    ),
    lua(
        "a back-off that outlives its token",
        "acquire",
        "(repeats and row or not repeats and pause",
        "(repeats or pause",
        "once the repeated token was rejected, no mint comes until it would have ended",
    ),
)

COMMIT = (
    lua(
        "a restore ignores the barrier",
        "commit",
        "if generation <= number(meta[2]) then",
        "if ARGV[10] ~= '1' and generation <= number(meta[2]) then",
        "a replica that heard nothing brings back what was rejected",
    ),
    lua(
        "a restore ends the back-off",
        "commit",
        "if ARGV[10] ~= '1' then",
        "if true then",
        "the issuer gets the next POST too soon",
    ),
    lua(
        "a commit leaves the back-off",
        "commit",
        "if ARGV[10] ~= '1' then",
        "if false then",
        "the next refresh is held back for nothing",
    ),
    lua("a lease that no commit ends", "commit", END_LEASE + "\n", "", "the next refresh waits in vain"),
    lua(
        "a commit ends any lease",
        "commit",
        END_LEASE,
        "redis.call('DEL', KEYS[2])",
        "a late holder takes another's lease",
    ),
    lua(
        "a commit said again",
        "commit",
        "if f == generation and record[3] == ARGV[8] then",
        "if false then",
        "a lost reply makes it another commit",
    ),
    lua(
        "a commit said again with another text",
        "commit",
        "if f == generation and record[3] == ARGV[8] then",
        "if f == generation then",
        "a replica takes its token for stored, where there is another one of the same number",
    ),
    lua(
        "another text takes the number",
        "commit",
        "if generation <= f then",
        "if generation < f then",
        "two tokens of one number replace each other",
    ),
    lua(
        "a token that forgets its provisional number",
        "commit",
        "'provisional', ARGV[9])",
        "'provisional', '0')",
        "who got it in the outage cannot reject it",
    ),
    lua(
        "a late commit that counts in full",
        "commit",
        "math.min(now + ttl, tonumber(ARGV[3]))",
        "now + ttl",
        "what lay in the socket of a stopped server lives longer in the store than it does",
    ),
    lua("a dead token", "commit", "if exp <= now then", "if false then", "a token that is over is stored"),
    lua(
        "a commit by old credentials",
        "commit",
        "if cv < number(meta[3]) then",
        "if false then",
        "the old secret's token replaces the new one's",
    ),
    lua(
        "a commit that is not counted",
        "commit",
        "text(math.max(number(meta[1]), generation))",
        "text(number(meta[1]))",
        "after a write-back a number is given out twice",
    ),
    lua(
        "a commit that counts backwards",
        "commit",
        "text(math.max(number(meta[1]), generation))",
        "text(generation)",
        "a late commit lets a number be given out twice",
    ),
    lua(
        "a write-back that hides its credentials",
        "commit",
        "text(math.max(cv, number(meta[3])))",
        "text(number(meta[3]))",
        "after a loss the old secret's token replaces the new one's",
    ),
    lua(
        "a record for ever",
        "commit",
        "redis.call('PEXPIREAT', KEYS[1], text(exp))\n",
        "",
        "records stay when their tokens are over",
    ),
    lua(
        "a meta for ever, written back",
        "commit",
        "if redis.call('PTTL', KEYS[3]) < remembered then redis.call('PEXPIRE', KEYS[3], text(remembered)) end\n",
        "",
        "keys that are not used stay",
    ),
    lua(
        "a life counted from the commit",
        "commit",
        "'exp', text(exp), 'cv'",
        "'exp', text(now + ttl), 'cv'",
        "a token seems to live longer than it does",
    ),
    lua("a silent commit", "commit", "redis.call('PUBLISH', ARGV[12], ", "tostring(", "waiters are not woken"),
    lua(
        "a token without a print",
        "commit",
        "'print', ARGV[8], ",
        "'print', '', ",
        "a rejected token is not known again",
    ),
)

FAIL = (
    lua("a failure said again", "fail", NOT_HELD + "\n", "", "each repetition counts as another failure"),
    lua("a failure that keeps its lease", "fail", "redis.call('DEL', KEYS[2])\n", "", "all wait in vain"),
    lua(
        "failures that are not counted",
        "fail",
        "redis.call('HINCRBY', KEYS[3], 'n', ARGV[11])\n",
        "",
        "the back-off never grows",
    ),
    lua("a failure of no credentials", "fail", "'until_cv', ARGV[5], ", "'until_cv', '0', ", "the back-off is ignored"),
    lua(
        "a failure that hides what it lasts for",
        "fail",
        "'while_live', ARGV[9])",
        "'while_live', '0')",
        "once the repeated token was rejected, no mint comes until it would have ended",
    ),
    lua(
        "trouble of the issuer that counts as the key's own",
        "fail",
        "'n', ARGV[11])",
        "'n', 1)",
        "after an outage a key's back-off is as long as the outage was",
    ),
    lua("a silent failure", "fail", "redis.call('PUBLISH', ARGV[7], ", "tostring(", "waiters learn of it late"),
)

RENEW = (
    lua("a blind renewal", "renew", NOT_HELD + "\n", "", "a stalled holder keeps up another's lease"),
    lua(
        "a renewal that does nothing",
        "renew",
        "return redis.call('PEXPIRE', KEYS[2], ARGV[3])",
        "return 1",
        "a slow mint loses its lease",
    ),
)

LUA = H14 + ACQUIRE + COMMIT + FAIL + RENEW + REJECT + BARRIER + REFUSALS + GATE
