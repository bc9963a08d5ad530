/** The calls of a client, against a real gRPC server. */
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { inspect } from "node:util";
import grpc from "@grpc/grpc-js";
import {
  Client,
  Closed,
  MintonceError,
  Refused,
  Token,
  type TokenPage,
  TokenSource,
  Unavailable,
  Unreachable,
} from "../src/index.ts";
import { VERSION } from "../src/version.ts";
import { type Failure, ScriptedServer } from "./support/server.ts";
import { Folder } from "./support/folder.ts";

const { status } = grpc;

const clientOf = (server: ScriptedServer, timeoutMs = 3000): Client => new Client({ target: server.target, timeoutMs });

test("a token has what the server said, counted from before the call", async () => {
  await using server = await ScriptedServer.start();
  server.delayMs = 300;
  server.lifetimeMs = 10_000;
  await using client = clientOf(server);
  const before = performance.now();
  const token = await client.get("billing", {
    audience: "https://api.example.com/",
    scopes: "write read",
    minTtlMs: 1500,
  });
  assert.ok(token.expiresAt >= before + 10_000 && token.expiresAt < before + 10_250, "not from when the answer came");
  assert.equal(token.generation, 101n);
  assert.deepEqual(token.scopes, ["read", "write"]);
  assert.equal(token.origin, "memory");
  const { key, minTtl } = server.requests[0] as {
    key: { client: string; audience: string; scopes: string[] };
    minTtl: { seconds: bigint; nanos: number };
  };
  assert.deepEqual([key.client, key.audience, key.scopes], ["billing", "https://api.example.com/", ["write", "read"]]);
  assert.deepEqual([minTtl.seconds, minTtl.nanos], [1n, 500_000_000]);
});

test("the server sees which client calls", async () => {
  await using server = await ScriptedServer.start();
  await using client = clientOf(server);
  await client.get("billing");
  assert.match(
    String(server.seen[0]?.metadata.get("user-agent")[0]),
    new RegExp(`^mintonce-node/${VERSION} grpc-node-js/`),
  );
});

test("what is newer than this client is accepted: an origin, an absurd expiry", async () => {
  await using server = await ScriptedServer.start();
  server.alter = (token) => {
    token.origin = 99 as never;
    if (token.expireTime !== undefined) token.expireTime.seconds = 1n << 62n;
  };
  await using client = clientOf(server);
  const token = await client.get("billing");
  assert.equal(token.origin, "unknown");
  assert.ok(token.isLive);
  assert.ok(JSON.stringify(token).includes('"expireTime":null'));
});

test("UNAVAILABLE without a word is tried four times in all; a pushback of -1 stops that", async () => {
  await using server = await ScriptedServer.start();
  await using client = clientOf(server);
  server.fail("GetToken", { code: status.UNAVAILABLE });
  await assert.rejects(client.get("billing"), Unreachable);
  assert.equal(server.calls.GetToken, 4);
  server.fail("GetToken", { code: status.UNAVAILABLE, reason: "STORE_UNAVAILABLE", pushback: "-1" });
  await assert.rejects(client.get("billing"), { reason: "STORE_UNAVAILABLE" });
  assert.equal(server.calls.GetToken, 5);
});

test("what the peer cancels is tried again, and never Closed", async () => {
  await using server = await ScriptedServer.start();
  await using client = clientOf(server);
  server.fail("GetToken", { code: status.CANCELLED, times: 2 });
  assert.equal((await client.get("billing")).generation, 101n);
  assert.equal(server.calls.GetToken, 3);
  await using watch = client.watch("billing");
  await watch.next();
  await server.until(() => server.watchers === 1);
  server.endWatches({ code: status.CANCELLED });
  await assert.rejects(watch.next(), (error) => {
    assert.ok(error instanceof MintonceError && !(error instanceof Closed));
    assert.equal(error.reason, "CANCELLED");
    return true;
  });
});

test("calls are spread over all replicas of a target, and leave one that ends within a second", async () => {
  await using one = await ScriptedServer.start();
  await using other = await ScriptedServer.start();
  await using client = new Client({ target: `ipv4:${one.target},${other.target}`, timeoutMs: 1000 });
  for (let asked = 0; one.calls.GetToken === 0 || other.calls.GetToken === 0; asked += 1) {
    assert.ok(asked < 1000, "one replica has all calls");
    await client.get("billing");
  }
  one.stop();
  for (let asked = 0; asked < 20; asked += 1) assert.ok((await client.get("billing")).isLive);
});

test("RotateToken is never repeated", async () => {
  await using server = await ScriptedServer.start();
  await using client = clientOf(server);
  server.fail("RotateToken", { code: status.UNAVAILABLE });
  await assert.rejects(client.rotate("billing"), Unreachable);
  assert.equal(server.calls.RotateToken, 1);
  server.mend("RotateToken");
  assert.deepEqual(await client.rotate("billing"), { previousGeneration: 101n, generation: 102n });
});

test("rejecting by token, by generation, by the hash of the text, and by nothing", async () => {
  await using server = await ScriptedServer.start();
  await using client = clientOf(server);
  assert.equal(await client.reject("billing", { generation: 7n }), false);
  const token = await client.get("billing");
  assert.equal(await client.reject("billing", { token }), true);
  const next = await client.get("billing");
  assert.equal(await client.reject("billing", { accessTokenSha256: next.fingerprint() }), true);
  await assert.rejects(client.reject("billing", {}), TypeError);
  await assert.rejects(client.reject("billing", { generation: 1n << 64n }), Refused);
});

test("pages of a list, to the last", async () => {
  await using server = await ScriptedServer.start();
  server.pages = 3;
  await using client = clientOf(server);
  const pages: TokenPage[] = [];
  for await (const page of client.pages({ pageSize: 1 })) pages.push(page);
  assert.equal(pages.length, 3);
  assert.equal(pages[0]?.tokens[0]?.expiresInMs, 3_599_500);
  assert.ok(pages.every(({ incomplete }) => incomplete));
});

test("both kinds of deadline are Unavailable: the client's own, and the server's", async () => {
  await using server = await ScriptedServer.start();
  await using client = clientOf(server);
  const release = server.hold("GetToken");
  await assert.rejects(
    client.get("billing", { timeoutMs: 200 }),
    (error) => error instanceof Unavailable && error.reason === "DEADLINE_EXCEEDED",
  );
  release();
  server.fail("GetToken", { code: status.DEADLINE_EXCEEDED, reason: "WAIT_TIMED_OUT", pushback: "-1" });
  await assert.rejects(
    client.get("billing"),
    (error) => error instanceof Unavailable && error.reason === "WAIT_TIMED_OUT",
  );
});

for (const timeoutMs of [0, -1, NaN, Infinity]) {
  test(`a timeout of ${String(timeoutMs)} ms is a programming error: every wait has an end`, async () => {
    await using client = new Client({ target: "127.0.0.1:1" });
    await assert.rejects(client.get("billing", { timeoutMs }), RangeError);
    assert.throws(() => new Client({ timeoutMs }), RangeError);
  });
}

const classes: readonly [string, Failure, typeof MintonceError, string][] = [
  ["a known reason", { code: status.UNKNOWN, reason: "INVALID_REQUEST" }, Refused, "INVALID_REQUEST"],
  [
    "ROTATION_TOO_SOON",
    { code: status.RESOURCE_EXHAUSTED, reason: "ROTATION_TOO_SOON" },
    Unavailable,
    "ROTATION_TOO_SOON",
  ],
  ["a new reason, by its code", { code: status.UNAVAILABLE, reason: "QUOTA_PAUSED" }, Unavailable, "QUOTA_PAUSED"],
  ["a new reason, refused", { code: status.FAILED_PRECONDITION, reason: "NOT_TODAY" }, Refused, "NOT_TODAY"],
  ["a new reason of another code", { code: status.DATA_LOSS, reason: "LOST" }, MintonceError, "LOST"],
  [
    "another domain",
    { code: status.PERMISSION_DENIED, reason: "MINE", domain: "example.com" },
    Refused,
    "PERMISSION_DENIED",
  ],
  ["garbage", { code: status.UNAUTHENTICATED, raw: Buffer.from([0xff, 0xff, 0x01]) }, Refused, "UNAUTHENTICATED"],
  ["garbage of the right kind", { code: status.INTERNAL, raw: Buffer.from([0x1a, 0x7f]) }, MintonceError, "INTERNAL"],
  ["no reason, no room", { code: status.RESOURCE_EXHAUSTED }, Unavailable, "RESOURCE_EXHAUSTED"],
  ["no reason, cancelled by the peer", { code: status.CANCELLED }, MintonceError, "CANCELLED"],
  ["no reason, aborted", { code: status.ABORTED }, Unavailable, "ABORTED"],
];
for (const [what, failure, kind, reason] of classes) {
  test(`the class of an error: ${what}`, async () => {
    await using server = await ScriptedServer.start();
    await using client = clientOf(server);
    server.fail("GetToken", { ...failure, pushback: "-1", text: "secret-text of the peer" });
    await assert.rejects(client.get("billing"), (error) => {
      assert.ok(error instanceof MintonceError);
      assert.equal(error.constructor, kind);
      assert.equal(error.reason, reason);
      assert.ok(MintonceError.is(error));
      return true;
    });
  });
}

test("a delay counts without a reason, too", async () => {
  await using server = await ScriptedServer.start();
  await using client = clientOf(server);
  server.fail("GetToken", { code: status.UNAVAILABLE, retryAfterMs: 2500, pushback: "-1" });
  await assert.rejects(client.get("billing"), { reason: "UNREACHABLE", retryAfterMs: 2500 });
});

test("the text of a peer that gives no reason is shown nowhere", async () => {
  await using server = await ScriptedServer.start();
  await using client = clientOf(server);
  server.fail("GetToken", { code: status.INTERNAL, text: "secret-101 of the peer" });
  await assert.rejects(client.get("billing"), (error) => {
    assert.doesNotMatch(inspect(error, { depth: 9, showHidden: true }) + JSON.stringify(error), /secret-/);
    return true;
  });
});

test("a watch gives each token in turn, and leaving the loop ends the call", async () => {
  await using server = await ScriptedServer.start();
  await using client = clientOf(server);
  const generations: bigint[] = [];
  for await (const token of client.watch("billing")) {
    generations.push(token.generation);
    if (generations.length === 3) break;
    await server.until(() => server.watchers === 1);
    server.publish();
  }
  assert.deepEqual(generations, [101n, 102n, 103n]);
  await server.until(() => server.watchers === 0);
});

test("what a server sends just before the end of a watch is not lost", async () => {
  await using server = await ScriptedServer.start();
  await using client = clientOf(server);
  await using watch = client.watch("billing");
  await watch.next();
  await server.until(() => server.watchers === 1);
  server.publish();
  server.publish();
  server.endWatches({ code: status.UNAVAILABLE, reason: "DRAINING" });
  assert.equal((await watch.next()).value?.generation, 102n);
  assert.equal((await watch.next()).value?.generation, 103n);
  await assert.rejects(watch.next(), { reason: "DRAINING" });
  assert.deepEqual(await watch.next(), { value: undefined, done: true });
});

test("a watch ends while a message is awaited: by cancel, by its signal, by close", async () => {
  await using server = await ScriptedServer.start();
  const client = clientOf(server);
  const cancelled = client.watch("billing");
  await cancelled.next();
  const pending = cancelled.next();
  cancelled.cancel();
  assert.deepEqual(await pending, { value: undefined, done: true });

  const controller = new AbortController();
  const aborted = client.watch("billing", { signal: controller.signal });
  await aborted.next();
  const waiting = aborted.next();
  controller.abort();
  await assert.rejects(waiting, { name: "AbortError" });

  const closing = client.watch("billing");
  await closing.next();
  const last = closing.next();
  await client.close();
  await assert.rejects(last, Closed);
  await server.until(() => server.watchers === 0);
});

test("a call that is given up in the turn it was made in does not go on at the server", async () => {
  await using server = await ScriptedServer.start();
  await using client = clientOf(server);
  await client.get("billing");
  client.watch("billing").cancel();
  await server.until(() => server.cancelled === 1, "the watch is cancelled");
});

test("after close a client throws Closed, and so do calls under way", async () => {
  await using server = await ScriptedServer.start();
  server.hold("GetToken");
  const client = clientOf(server);
  const waiting = client.get("billing");
  await server.until(() => server.calls.GetToken === 1);
  await client.close();
  await client.close();
  await assert.rejects(waiting, Closed);
  await assert.rejects(client.get("billing"), Closed);
  assert.throws(() => client.watch("billing"), Closed);
});

test("a shared client stays open when its source is closed, and takes no options of a connection", async () => {
  await using server = await ScriptedServer.start();
  await using client = clientOf(server);
  const source = await TokenSource.open("billing", { via: client });
  await source.close();
  assert.ok((await client.get("billing")).isLive);
  await assert.rejects(TokenSource.open("billing", { via: client, target: server.target }), TypeError);
});

test("a signal that has aborted makes no call, and one that outlives many calls keeps none of them", async () => {
  await using server = await ScriptedServer.start();
  await using client = clientOf(server);
  await assert.rejects(client.get("billing", { signal: AbortSignal.abort() }), { name: "AbortError" });
  assert.equal(server.calls.GetToken, 0);
  const { signal } = new AbortController();
  const warnings: Error[] = [];
  const note = (warning: Error): number => warnings.push(warning);
  process.on("warning", note);
  for (let count = 0; count < 30; count += 1) await client.get("billing", { signal });
  await new Promise(setImmediate);
  process.off("warning", note);
  assert.equal(getEventListeners(signal, "abort").length, 0);
  assert.deepEqual(warnings, []);
});

test("a Unix socket", async () => {
  using folder = new Folder();
  await using server = await ScriptedServer.start(`unix:${folder.path}/s`);
  await using client = clientOf(server);
  assert.ok((await client.get("billing")).isLive);
});

test("a lone surrogate is refused before it is sent", async () => {
  await using client = new Client({ target: "127.0.0.1:1" });
  await assert.rejects(client.get("\ud800"), { reason: "INVALID_REQUEST" });
});

test("tokens are equal by value", () => {
  const fields = { accessToken: "a", generation: 1n, expiresAt: 1, refreshAt: 0 };
  assert.ok(new Token(fields).equals(new Token({ ...fields })));
  assert.ok(!new Token(fields).equals(new Token({ ...fields, accessToken: "b" })));
  assert.equal(new Token({ ...fields, tokenType: "bearer" }).header, "Bearer a");
  assert.equal(new Token({ ...fields, tokenType: "" }).header, "Bearer a");
  assert.equal(new Token({ ...fields, tokenType: "DPoP" }).header, "DPoP a");
});
