/** The adapters for gRPC and Connect, against real servers. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { connectNodeAdapter, createConnectTransport } from "@connectrpc/connect-node";
import grpc from "@grpc/grpc-js";
import { connectInterceptor } from "../src/adapters/connect.ts";
import { channelCredentials, loopbackInterceptor, loopbackOptions } from "../src/adapters/grpc.ts";
import { AdminService } from "../src/gen/mintonce/v1/admin_pb.ts";
import { TokenSource } from "../src/index.ts";
import { identity } from "./support/certificates.ts";
import { ScriptedServer } from "./support/server.ts";

const raw = (bytes: Buffer): Buffer => bytes;

function call(client: grpc.Client): Promise<grpc.ServiceError | null> {
  return new Promise((resolve) => {
    client.makeUnaryRequest("/mintonce.v1.TokenService/GetToken", raw, raw, Buffer.alloc(0), (error) => {
      client.close();
      resolve(error);
    });
  });
}

test("grpc: each call has the token, and follows a rotation", async () => {
  const server = identity("api", { alternativeNames: ["localhost"] });
  const pair = { private_key: Buffer.from(server.key), cert_chain: Buffer.from(server.certificate) };
  await using tokens = await ScriptedServer.start();
  await using api = await ScriptedServer.start("127.0.0.1:0", grpc.ServerCredentials.createSsl(null, [pair]));
  await using source = await TokenSource.open("billing", { target: tokens.target });
  const secure = channelCredentials(source, grpc.credentials.createSsl(Buffer.from(server.certificate)));
  const target = `localhost:${String(api.port)}`;
  assert.equal(await call(new grpc.Client(target, secure)), null);
  const first = source.token();
  await tokens.until(() => tokens.watchers === 1);
  tokens.publish();
  await source.waitUntilUpdated(first);
  assert.equal(await call(new grpc.Client(target, secure)), null);
  const sent = api.seen.map(({ metadata }) => metadata.get("authorization")[0]);
  assert.deepEqual(sent, ["Bearer secret-101", "Bearer secret-102"]);
});

test("grpc: in clear only to loopback", async () => {
  await using tokens = await ScriptedServer.start();
  await using api = await ScriptedServer.start();
  await using source = await TokenSource.open("billing", { target: tokens.target });
  assert.throws(() => channelCredentials(source, grpc.credentials.createInsecure()), /insecure/);
  const clientOf = (target: string): grpc.Client =>
    new grpc.Client(target, grpc.credentials.createInsecure(), { interceptors: [loopbackInterceptor(source)] });
  assert.equal(await call(clientOf(api.target)), null);
  assert.equal(api.seen[0]?.metadata.get("authorization")[0], "Bearer secret-101");
  const far = clientOf("api.example.com:80");
  await assert.rejects(call(far), TypeError);
  far.close();
});

test("grpc: no token in clear through a proxy", async () => {
  await using tokens = await ScriptedServer.start();
  await using api = await ScriptedServer.start();
  await using source = await TokenSource.open("billing", { target: tokens.target });
  const asked: string[] = [];
  const proxy = createServer().on("connect", (request, socket) => {
    asked.push(request.url ?? "");
    socket.destroy();
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const insecure = grpc.credentials.createInsecure();
  const intercepted = { interceptors: [loopbackInterceptor(source)] };
  process.env["http_proxy"] = `http://127.0.0.1:${String((proxy.address() as AddressInfo).port)}`;
  try {
    const proxied = new grpc.Client(api.target, insecure, intercepted);
    await assert.rejects(
      call(proxied),
      (error) => error instanceof TypeError && error.message.includes('http_proxy": 0'),
    );
    proxied.close();
    assert.equal(await call(new grpc.Client(api.target, insecure, loopbackOptions(source))), null);
    process.env["no_proxy"] = "example.com,127.0.0.1";
    assert.equal(await call(new grpc.Client(api.target, insecure, intercepted)), null);
    assert.deepEqual(asked, []);
  } finally {
    delete process.env["http_proxy"];
    delete process.env["no_proxy"];
    proxy.close();
  }
});

test("connect: a refused token is rejected once, and the call repeated once", async () => {
  await using tokens = await ScriptedServer.start();
  await using source = await TokenSource.open("billing", { target: tokens.target });
  const seen: (string | null)[] = [];
  const handler = connectNodeAdapter({
    routes: (router) => {
      router.service(AdminService, {
        listTokens: (_, { requestHeader }) => {
          seen.push(requestHeader.get("authorization"));
          if (seen.length === 1) throw new ConnectError("no", Code.Unauthenticated);
          return { nextPageToken: "hello" };
        },
      });
    },
  });
  const server = createServer((request, response) => {
    handler(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const baseUrl = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  const transport = createConnectTransport({ baseUrl, httpVersion: "1.1", interceptors: [connectInterceptor(source)] });
  assert.equal((await createClient(AdminService, transport).listTokens({})).nextPageToken, "hello");
  assert.deepEqual(seen, ["Bearer secret-101", "Bearer secret-102"]);
  assert.equal(tokens.calls.RejectToken, 1);
  server.closeAllConnections();
  server.close();
});

test("connect: in clear only to loopback", async () => {
  await using tokens = await ScriptedServer.start();
  await using source = await TokenSource.open("billing", { target: tokens.target });
  /** What the call would send. */
  const sent = async (baseUrl: string): Promise<string | null> => {
    let authorization: string | null = null;
    const transport = createConnectTransport({
      baseUrl,
      httpVersion: "1.1",
      interceptors: [
        connectInterceptor(source),
        () => (request) => {
          authorization = request.header.get("authorization");
          throw new ConnectError("not sent", Code.Aborted);
        },
      ],
    });
    await assert.rejects(createClient(AdminService, transport).listTokens({}), (error) => {
      if (authorization === null) assert.match(String(error), /in clear to api\.example\.com/);
      return true;
    });
    return authorization;
  };
  assert.equal(await sent("http://api.example.com"), null);
  for (const url of ["https://api.example.com", "http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1"]) {
    assert.equal(await sent(url), "Bearer secret-101", url);
  }
});
