/** No way of printing shows a token or a bearer. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { format, inspect } from "node:util";
import grpc from "@grpc/grpc-js";
import { Client, MintonceError, Token, TokenSource } from "../src/index.ts";
import { Folder } from "./support/folder.ts";
import { ScriptedServer } from "./support/server.ts";

const BEARER = "bearer-canary";
const CANARIES = /secret-\d|bearer-canary/;

const replacer = (_: string, value: unknown): unknown => (typeof value === "bigint" ? String(value) : value);

function shown(value: object): string {
  const deep = { depth: 20, showHidden: true, getters: true, maxStringLength: null };
  return [
    String(value),
    JSON.stringify(value, replacer),
    inspect(value),
    inspect(value, deep),
    inspect({ nested: [value], map: new Map([[value, value]]) }, deep),
    format("%s %o %O %j", value, value, value, value),
    value instanceof Error ? (value.stack ?? "") : "",
    JSON.stringify(structuredClone(value), replacer),
  ].join("\n");
}

test("tokens, sources, clients, watches and errors are printed without secrets", async () => {
  using folder = new Folder();
  await using server = await ScriptedServer.start();
  const options = { target: server.target, bearerFile: folder.write("bearer", BEARER) };
  await using source = await TokenSource.open("billing", options);
  await using client = new Client(options);
  await using watch = client.watch("billing");
  const token = source.token();
  assert.match(token.accessToken + String(server.seen[0]?.metadata.get("authorization")[0]), CANARIES);
  server.fail("GetToken", { code: grpc.status.INTERNAL, text: "secret-101 was not minted" });
  server.fail("RejectToken", { code: grpc.status.UNAVAILABLE, reason: "STORE_UNAVAILABLE", pushback: "-1" });
  const errors = await Promise.all(
    [source.reject(token), client.get("billing")].map((call) => call.catch((error: unknown) => error)),
  );
  for (const value of [token, source, client, watch, options, ...errors]) {
    const text = shown(value as object);
    assert.doesNotMatch(text, CANARIES);
  }
  assert.ok(errors.every((error) => error instanceof MintonceError));
  assert.match(String(token), /accessToken=\[redacted\], generation=101/);
});

test("a closed source shows no token", async () => {
  await using server = await ScriptedServer.start();
  const source = await TokenSource.open("billing", { target: server.target });
  await source.close();
  assert.match(String(source), /token=closed/);
});

test("what a terminal would obey is escaped in a printed token", () => {
  const scopes = ["read", "a\u001b[31m\nINJECTED"];
  const token = new Token({ accessToken: "secret-1", generation: 7n, expiresAt: 0, refreshAt: 0, scopes });
  for (const text of [String(token), inspect(token), format("%s %o", token, token), JSON.stringify(token)]) {
    // eslint-disable-next-line no-control-regex -- those are what it is about
    assert.doesNotMatch(text, /[\u0000-\u001f]/);
    assert.match(text, /INJECTED/);
  }
  assert.deepEqual(token.scopes, scopes);
});
