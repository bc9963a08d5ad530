/** A source against a real gRPC server: the life of a token. */
import assert from "node:assert/strict";
import { test } from "node:test";
import grpc from "@grpc/grpc-js";
import { Closed, MintonceError, Refused, TokenExpired, TokenSource, Unavailable, Unreachable } from "../src/index.ts";
import { ScriptedServer, secret } from "./support/server.ts";

const { status } = grpc;

const open = (server: ScriptedServer, options: object = {}) =>
  TokenSource.open("billing", {
    audience: "https://api.example.com/",
    target: server.target,
    timeoutMs: 3000,
    ...options,
  });

test("it has the first token when it is open, and then reads memory", async () => {
  await using server = await ScriptedServer.start();
  await using source = await open(server);
  assert.equal(source.token().header, "Bearer secret-101");
  for (let count = 0; count < 10_000; count += 1) source.token();
  for (let count = 0; count < 1000; count += 1) await source.get();
  assert.equal(server.calls.GetToken, 1);
});

test("a pushed successor comes by the watch, without GetToken", async () => {
  await using server = await ScriptedServer.start();
  await using source = await open(server);
  const first = source.token();
  await server.until(() => server.watchers === 1);
  server.publish();
  const second = await source.waitUntilUpdated(first);
  assert.equal(second.generation, 102n);
  assert.equal(source.token(), second);
  assert.equal(server.calls.GetToken, 1);
});

test("a server without WatchToken: the successor comes by GetToken, and no watch storm", async () => {
  await using server = await ScriptedServer.start();
  server.fail("WatchToken", { code: status.UNIMPLEMENTED });
  server.lifetimeMs = 2000;
  server.refreshMs = 200;
  await using source = await open(server);
  const first = source.token();
  server.publish();
  const second = await source.waitUntilUpdated(first);
  assert.equal(second.generation, 102n);
  assert.equal(server.calls.WatchToken, 1);
});

test("opening fails with the server's own error", async () => {
  await using server = await ScriptedServer.start();
  server.fail("GetToken", {
    code: status.NOT_FOUND,
    reason: "UNKNOWN_CLIENT",
    pushback: "-1",
    info: { request_id: "r-1" },
  });
  await assert.rejects(open(server), (error) => {
    assert.ok(error instanceof Refused);
    assert.equal(error.reason, "UNKNOWN_CLIENT");
    assert.equal(error.remedy, "Mend it.");
    assert.equal(error.requestId, "r-1");
    assert.equal(error.code, "NOT_FOUND");
    return true;
  });
  assert.equal(server.calls.GetToken, 1);
});

test("a rejected token is reported once, however many report it, and all get the successor", async () => {
  await using server = await ScriptedServer.start();
  await using source = await open(server);
  const token = source.token();
  const successors = await Promise.all(Array.from({ length: 50 }, () => source.reject(token)));
  assert.deepEqual(new Set(successors.map((each) => each.generation)), new Set([102n]));
  assert.equal(server.calls.RejectToken, 1);
  assert.equal((await source.reject(token)).generation, 102n);
  assert.equal(server.calls.RejectToken, 1);
});

test("a refused report leaves the token in use, and blocks further reports for a while", async () => {
  await using server = await ScriptedServer.start();
  server.fail("RejectToken", {
    code: status.RESOURCE_EXHAUSTED,
    reason: "ROTATION_TOO_SOON",
    retryAfterMs: 30_000,
    pushback: "-1",
  });
  await using source = await open(server);
  const token = source.token();
  const errors: unknown[] = [];
  for (let count = 0; count < 3; count += 1) {
    await assert.rejects(source.reject(token), (error) => {
      assert.ok(error instanceof Unavailable);
      assert.equal(error.reason, "ROTATION_TOO_SOON");
      assert.equal(error.retryAfterMs, 30_000);
      errors.push(error);
      return true;
    });
  }
  assert.equal(new Set(errors).size, 3, "one error object is never thrown to two callers");
  assert.equal(source.token(), token);
  assert.equal(server.calls.RejectToken, 1);
});

test("the report is accepted but the mint fails: the error is the mint's, and nothing dead is served", async () => {
  await using server = await ScriptedServer.start();
  await using source = await open(server);
  const token = source.token();
  server.fail("GetToken", { code: status.UNAVAILABLE, reason: "ISSUER_UNAVAILABLE", pushback: "-1" });
  await assert.rejects(source.reject(token), { reason: "ISSUER_UNAVAILABLE" });
  assert.throws(
    () => source.token(),
    (error) => error instanceof TokenExpired && (error.cause as MintonceError).reason === "ISSUER_UNAVAILABLE",
  );
});

test("the server goes away: the token is served to its end; when it is back, so is the token", async () => {
  await using server = await ScriptedServer.start();
  server.lifetimeMs = 1500;
  server.refreshMs = 300;
  await using source = await open(server);
  const token = source.token();
  server.stop();
  while (token.isLive) {
    assert.equal(source.token(), token);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.throws(() => source.token(), TokenExpired);
  await assert.rejects(source.get({ timeoutMs: 100 }), (error) => {
    assert.ok(error instanceof TokenExpired);
    assert.ok(error.cause instanceof Unreachable);
    return true;
  });
  await server.listen();
  server.lifetimeMs = 3_600_000;
  server.refreshMs = undefined;
  server.publish();
  for (;;) {
    try {
      assert.equal((await source.get()).accessToken, secret(102n));
      break;
    } catch (error) {
      assert.ok(error instanceof TokenExpired);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
});

test("after close every read throws Closed, and so do waits that were under way", async () => {
  await using server = await ScriptedServer.start();
  const source = await open(server);
  const token = source.token();
  await server.until(() => server.watchers === 1);
  const waiting = source.waitUntilUpdated(token);
  const closing = source.close();
  await assert.rejects(waiting, Closed);
  await closing;
  await source.close();
  assert.throws(() => source.token(), Closed);
  await assert.rejects(source.get(), Closed);
  await assert.rejects(source.reject(token), Closed);
  await server.until(() => server.watchers === 0);
});

test("a caller's own cancellation is the reason of its signal, at once", async () => {
  await using server = await ScriptedServer.start();
  const release = server.hold("RejectToken");
  await using source = await open(server);
  const controller = new AbortController();
  const waiting = source.reject(source.token(), { signal: controller.signal });
  await server.until(() => server.calls.RejectToken === 1);
  controller.abort();
  await assert.rejects(waiting, { name: "AbortError" });
  release();
});

test("opening waits for a server that is not there yet, if asked to", async () => {
  await using server = await ScriptedServer.start();
  server.stop();
  await assert.rejects(open(server), Unreachable);
  const opening = open(server, { waitForServerMs: 20_000 });
  await server.listen();
  await using source = await opening;
  assert.ok(source.token().isLive);
});
