/** TLS, bearers and the environment, against real servers. */
import assert from "node:assert/strict";
import { createPrivateKey } from "node:crypto";
import { mkdirSync } from "node:fs";
import { test } from "node:test";
import grpc from "@grpc/grpc-js";
import { Client, MintonceError, Refused, Unreachable } from "../src/index.ts";
import { resolve } from "../src/options.ts";
import { identity, type Identity } from "./support/certificates.ts";
import { eventually, Folder } from "./support/folder.ts";
import { ScriptedServer } from "./support/server.ts";

const authority = identity("authority");
const serverIdentity = identity("server", { by: authority, alternativeNames: ["localhost", "mintonce.test"] });
const quiet = { warn: (): undefined => undefined };

const serverCredentials = (clients?: Identity): grpc.ServerCredentials =>
  grpc.ServerCredentials.createSsl(
    clients === undefined ? null : Buffer.from(clients.certificate),
    [{ private_key: Buffer.from(serverIdentity.key), cert_chain: Buffer.from(serverIdentity.certificate) }],
    clients !== undefined,
  );

const localhost = (server: ScriptedServer): string => `localhost:${String(server.port)}`;

async function remedyOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof Unreachable, String(error));
    return `${error.message}. ${error.remedy}`;
  }
  throw new Error("it did not fail");
}

test("mTLS: the server learns the certificate's name", async () => {
  using folder = new Folder();
  await using server = await ScriptedServer.start("127.0.0.1:0", serverCredentials(authority));
  const me = identity("me", { by: authority });
  const caFile = folder.write("ca", authority.certificate);
  const both = folder.write("both", me.certificate + me.key);
  await using client = new Client({ target: localhost(server), tls: { caFile, certificateFile: both } });
  await client.get("billing");
  assert.equal(server.seen[0]?.commonName, "me");
  await using nameless = new Client({ target: localhost(server), tls: { caFile } });
  assert.match(await remedyOf(nameless.get("billing")), /MINTONCE_CERTIFICATE_FILE/);
});

test("wrong authority, wrong name, wrong transport: each has its hint", async () => {
  using folder = new Folder();
  await using server = await ScriptedServer.start("127.0.0.1:0", serverCredentials());
  await using clear = await ScriptedServer.start();
  const caFile = folder.write("ca", authority.certificate);
  const otherFile = folder.write("other", identity("other").certificate);
  const failing = async (target: string, tls: object | false): Promise<string> => {
    await using client = new Client({ target, tls, timeoutMs: 3000 });
    return await remedyOf(client.get("billing"));
  };
  assert.match(await failing(localhost(server), { caFile: otherFile }), /not from a CA.*MINTONCE_CA_FILE/s);
  assert.match(await failing(localhost(server), { caFile, serverName: "nobody.test" }), /another name.*nobody\.test/s);
  assert.match(await failing(localhost(server), false), /closes the connection.*may want TLS/s);
  assert.match(await failing(localhost(clear), { caFile }), /does not speak TLS/);
  await using named = new Client({ target: server.target, tls: { caFile, serverName: "mintonce.test" } });
  assert.ok((await named.get("billing")).isLive);
});

test("a replaced certificate gets a new connection, while the watch goes on; a broken file changes nothing, and warns once", async () => {
  using folder = new Folder();
  await using server = await ScriptedServer.start("127.0.0.1:0", serverCredentials(authority));
  const caFile = folder.write("ca", authority.certificate);
  const write = (each: Identity): string => folder.write("me", each.certificate + each.key);
  const certificateFile = write(identity("first", { by: authority }));
  const warnings: string[] = [];
  const logger = { warn: (message: string): number => warnings.push(message) };
  await using client = new Client({ target: localhost(server), tls: { caFile, certificateFile }, logger });
  await using watch = client.watch("billing");
  await watch.next();
  const nameAfterCall = async (): Promise<string | undefined> => {
    await client.get("billing");
    return server.seen.at(-1)?.commonName;
  };
  assert.equal(await nameAfterCall(), "first");
  write(identity("second", { by: authority }));
  await eventually(async () => (await nameAfterCall()) === "second", "the new certificate is used");
  server.publish();
  assert.equal((await watch.next()).value?.generation, 102n);

  folder.write("me", "-----BEGIN NOTHING-----");
  await eventually(async () => (await nameAfterCall()) === "second" && warnings.length > 0, "it warns");
  const until = performance.now() + 1200;
  while (performance.now() < until) await client.get("billing");
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /me holds no certificate; going on/);
});

test("keys in the older forms are taken; an encrypted one is refused with the command to convert it", () => {
  using folder = new Folder();
  const caFile = folder.write("ca", authority.certificate);
  const open = (key: string, each: Identity): Client =>
    new Client({
      target: "localhost:1",
      tls: { caFile, certificateFile: folder.write("me", each.certificate), keyFile: folder.write("key", key) },
    });
  const ec = identity("ec", { by: authority });
  const rsa = identity("rsa", { by: authority, keyType: "rsa" });
  void open(createPrivateKey(ec.key).export({ type: "sec1", format: "pem" }).toString(), ec).close();
  void open(createPrivateKey(rsa.key).export({ type: "pkcs1", format: "pem" }).toString(), rsa).close();
  const locked = createPrivateKey(ec.key).export({
    type: "pkcs8",
    format: "pem",
    cipher: "aes-256-cbc",
    passphrase: "x",
  });
  for (const bad of [locked.toString(), "nothing", rsa.certificate]) {
    assert.throws(
      () => open(bad, ec),
      (error) => {
        assert.ok(error instanceof Refused);
        assert.equal(error.reason, "CREDENTIALS");
        assert.match(error.remedy, /openssl pkcs8 -topk8 -nocrypt -in/);
        return true;
      },
    );
  }
  assert.throws(() => open(rsa.key, ec), { reason: "CREDENTIALS" });
});

test("a bearer goes with each call, and a replaced one with the next", async () => {
  using folder = new Folder();
  await using server = await ScriptedServer.start();
  const bearerFile = folder.write("bearer", "  first.token\n");
  await using client = new Client({ target: server.target, bearerFile, logger: quiet });
  const sent = async (): Promise<unknown> => {
    await client.get("billing");
    return server.seen.at(-1)?.metadata.get("authorization")[0];
  };
  assert.equal(await sent(), "Bearer first.token");
  folder.write("bearer", "second.token");
  await eventually(async () => (await sent()) === "Bearer second.token", "the new bearer is sent");
  folder.write("bearer", "two words");
  await new Promise((resolve) => setTimeout(resolve, 1100));
  assert.equal(await sent(), "Bearer second.token");
});

test("a file that cannot be a bearer is refused, without a word of what is in it", () => {
  using folder = new Folder();
  mkdirSync(`${folder.path}/folder`);
  const contents: Record<string, string> = {
    empty: " \n",
    words: "my secret",
    long: "x".repeat(8193),
    odd: "sécret",
    huge: "y".repeat((1 << 20) + 1),
  };
  const files = Object.entries(contents).map(([name, content]) => folder.write(name, content));
  for (const bearerFile of [...files, `${folder.path}/folder`, `${folder.path}/none`]) {
    assert.throws(
      () => new Client({ target: "127.0.0.1:1", bearerFile }),
      (error) => {
        assert.ok(error instanceof Refused);
        assert.equal(error.reason, "CREDENTIALS");
        assert.doesNotMatch(error.message + error.remedy, /my secret|s.cret|yyy|xxx/);
        return true;
      },
    );
  }
});

test("no proxy is used for loopback", async () => {
  await using server = await ScriptedServer.start();
  const before = process.env["http_proxy"];
  process.env["http_proxy"] = "http://127.0.0.1:1";
  try {
    await using client = new Client({ target: server.target });
    assert.ok((await client.get("billing")).isLive);
  } finally {
    if (before === undefined) delete process.env["http_proxy"];
    else process.env["http_proxy"] = before;
  }
});

test("the environment decides what no argument does", () => {
  const target = (environment: Record<string, string>, given?: string): string =>
    resolve({ target: given }, environment).target;
  assert.equal(target({}), "127.0.0.1:50051");
  assert.equal(target({ MINTONCE_TARGET: "" }), "127.0.0.1:50051");
  assert.equal(target({ MINTONCE_TARGET: "a:1" }), "a:1");
  assert.equal(target({ MINTONCE_TARGET: "a:1" }, "b:2"), "b:2");
  assert.throws(
    () => target({ MINTONCE_TARGET: "https://u:p@a:1/x" }),
    (error) =>
      error instanceof MintonceError &&
      error.remedy.startsWith("Write it without: a:1.") &&
      !error.message.includes("u:p"),
  );

  const tls = (environment: Record<string, string>, given?: boolean): unknown =>
    resolve({ tls: given }, environment).tls;
  assert.equal(tls({}), undefined);
  assert.deepEqual(tls({ MINTONCE_CA_FILE: "ca" }), {
    caFile: "ca",
    certificateFile: undefined,
    keyFile: undefined,
    serverName: undefined,
  });
  for (const yes of ["1", "true", "YES", "On"]) assert.ok(tls({ MINTONCE_TLS: yes }));
  for (const no of ["0", "false", "NO", "Off", ""]) assert.equal(tls({ MINTONCE_TLS: no }), undefined);
  assert.throws(() => tls({ MINTONCE_TLS: "maybe" }), { reason: "CREDENTIALS" });
  assert.throws(() => tls({ MINTONCE_TLS: "no", MINTONCE_CA_FILE: "ca" }), { reason: "CREDENTIALS" });
  assert.throws(() => tls({ MINTONCE_KEY_FILE: "key" }), { reason: "CREDENTIALS" });
  assert.equal(tls({ MINTONCE_CA_FILE: "ca" }, false), undefined);
  assert.throws(() => resolve({ tls: { keyFile: "key" } }, {}), TypeError);

  const bearer = (environment: Record<string, string>, given?: string | false): unknown =>
    resolve({ bearerFile: given }, environment).bearer;
  assert.equal(bearer({ MINTONCE_BEARER_FILE: "b" }), "b");
  assert.equal(bearer({ MINTONCE_API_KEY_FILE: "k" }), "k");
  assert.equal(bearer({ MINTONCE_API_KEY_FILE: "k" }, "b"), "b");
  assert.equal(bearer({ MINTONCE_BEARER_FILE: "b" }, false), undefined);
  assert.throws(() => bearer({ MINTONCE_BEARER_FILE: "b", MINTONCE_API_KEY_FILE: "k" }), { reason: "CREDENTIALS" });
  assert.throws(() => resolve({ bearerFile: "b", apiKeyFile: "k" }, {}), TypeError);
});

test("a bearer travels in clear only where nobody can listen", () => {
  const near = [
    "localhost:1",
    "LOCALHOST",
    "127.0.0.1:1",
    "127.9.9.9",
    "[::1]:1",
    "::1",
    "unix:/a",
    "unix-abstract:a",
    "dns:///localhost:1",
    "dns:127.0.0.1:1",
    "ipv4:127.0.0.1:1,127.0.0.2:1",
    "ipv6:[::1]:1",
  ];
  const far = [
    "mintonce:1",
    "10.0.0.1:1",
    "dns://8.8.8.8/localhost:1",
    "ipv4:127.0.0.1:1,10.0.0.1:1",
    "localhost.example:1",
    "[::1:1",
    "xds:///localhost",
    "0.0.0.0:1",
  ];
  for (const target of near) resolve({ target, bearerFile: "b" }, {});
  for (const target of far)
    assert.throws(() => resolve({ target, bearerFile: "b" }, {}), { reason: "CREDENTIALS" }, target);
});
