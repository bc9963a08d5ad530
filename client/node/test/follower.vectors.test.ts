/** Replays the recorded histories of conformance/follower, which are the same for the clients of all languages. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { type Code, MintonceError, TokenExpired, Unavailable } from "../src/errors.ts";
import { Follower, type Step } from "../src/follower.ts";
import { Token } from "../src/token.ts";

interface VectorToken {
  generation: number;
  expires_at: number;
  refresh_at: number;
}

interface VectorError {
  reason: string;
  retry_after: number | null;
  code: Code;
}

interface State {
  token: number | null;
  live: number | null;
  last_error: string | null;
  report_error: string | null;
  setbacks: number;
  report_setbacks: number;
  fetch_at: number;
  watch_at: number;
  fetch_failures: number;
  watch_failures: number;
  wanted_report: number;
  rejected: number;
  blocked_until: number;
}

interface VectorEvent {
  do: string;
  now: number;
  jitter: number;
  token?: VectorToken;
  error?: VectorError | null;
  started_at?: number;
  limit?: number;
  generation?: number;
  expect: { result: unknown; step: VectorStep; state: State };
}

interface VectorStep {
  do: Step["do"];
  generation?: number;
  limit?: number;
  seconds?: number;
}

interface Case {
  name: string;
  token: VectorToken;
  now: number;
  jitter: number;
  events: VectorEvent[];
}

const FOLDER = new URL("../../../conformance/follower/", import.meta.url);
/** The histories are in seconds: so is the follower here. */
const SECOND = 1;
const MARGIN = 1e-6;

const tokenOf = (vector: VectorToken): Token =>
  new Token({
    accessToken: `secret-${String(vector.generation)}`,
    generation: BigInt(vector.generation),
    expiresAt: vector.expires_at,
    refreshAt: vector.refresh_at,
  });

const errorOf = (vector: VectorError): MintonceError =>
  new Unavailable("failed", {
    reason: vector.reason,
    retryAfterMs: vector.retry_after ?? undefined,
    code: vector.code,
  });

/** The error that an event throws, as the vectors have it. */
function thrown(act: () => void): { error: string } | null {
  try {
    act();
    return null;
  } catch (error) {
    assert.ok(error instanceof MintonceError);
    return { error: error instanceof TokenExpired ? "TOKEN_EXPIRED" : error.reason };
  }
}

function apply(follower: Follower, event: VectorEvent): unknown {
  const now = event.now;
  const token = event.token === undefined ? undefined : tokenOf(event.token);
  const error = event.error == null ? undefined : errorOf(event.error);
  const generation = BigInt(event.generation ?? 0);
  switch (event.do) {
    case "offer":
      return follower.offer(token!, now);
    case "fetched":
      return follower.fetched(token!, now);
    case "fetch_failed":
      follower.fetchFailed(error!, now);
      return null;
    case "watch_ended":
      follower.watchEnded(error, event.started_at!, event.limit!, now);
      return null;
    case "want_report":
      return thrown(() => {
        follower.wantReport(generation, now);
      });
    case "reported":
      follower.reported(generation, now);
      return null;
    case "report_failed":
      follower.reportFailed(error!, now);
      return null;
    case "hurry":
      return thrown(() => {
        follower.hurry(now);
      });
    case "successor": {
      const found = follower.successor(generation, now);
      return found === undefined ? null : Number(found.generation);
    }
    case "look":
      return null;
    default:
      throw new Error(`no such event: ${event.do}`);
  }
}

function stepOf(step: Step): VectorStep {
  switch (step.do) {
    case "report":
      return { do: "report", generation: Number(step.generation) };
    case "fetch":
      return { do: "fetch" };
    case "watch":
      return { do: "watch", limit: step.limit };
    case "pause":
      return { do: "pause", seconds: step.delay };
  }
}

const stateOf = (follower: Follower, now: number): State => ({
  token: follower.token === undefined ? null : Number(follower.token.generation),
  live: follower.live(now) === undefined ? null : Number(follower.live(now)?.generation),
  last_error: follower.lastError?.reason ?? null,
  report_error: follower.reportError?.reason ?? null,
  setbacks: follower.setbacks,
  report_setbacks: follower.reportSetbacks,
  fetch_at: follower.fetchAt,
  watch_at: follower.watchAt,
  fetch_failures: follower.fetchFailures,
  watch_failures: follower.watchFailures,
  wanted_report: Number(follower.wantedReport),
  rejected: Number(follower.rejected),
  blocked_until: follower.blockedUntil,
});

/** Numbers to a millionth of a second; everything else exactly. */
function same(actual: object, expected: object, where: string): void {
  assert.deepEqual(Object.keys(actual).sort(), Object.keys(expected).sort(), where);
  for (const [name, value] of Object.entries(expected)) {
    const found = (actual as Record<string, unknown>)[name];
    if (typeof value === "number" && typeof found === "number") {
      assert.ok(Math.abs(found - value) <= MARGIN, `${where}: ${name} is ${String(found)}, not ${String(value)}`);
    } else {
      assert.deepEqual(found, value, `${where}: ${name}`);
    }
  }
}

const files = readdirSync(FOLDER).filter((name) => name.endsWith(".jsonl"));

test("there are vectors", () => {
  assert.ok(files.length > 0);
});

for (const file of files) {
  test(`the follower does as recorded in ${file}`, () => {
    const cases = readFileSync(new URL(file, FOLDER), "utf8")
      .split("\n")
      .filter((line) => line !== "");
    for (const line of cases) {
      const history = JSON.parse(line) as Case;
      let drawn = history.jitter;
      const follower = new Follower(tokenOf(history.token), history.now, () => drawn, SECOND);
      for (const [index, event] of history.events.entries()) {
        const where = `${history.name}, event ${String(index)} (${event.do})`;
        drawn = event.jitter;
        const result = apply(follower, event);
        const expected = event.expect.result;
        if (typeof expected === "object" && expected !== null) {
          same(result as object, { error: (expected as { error: string }).error }, where);
        } else {
          assert.deepEqual(result, expected, where);
        }
        same(stepOf(follower.next(event.now)), event.expect.step, where);
        same(stateOf(follower, event.now), event.expect.state, where);
      }
    }
  });
}
