/** The HTTP adapters against a real API, each by its own library. */
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { inspect } from "node:util";
import axios from "axios";
import * as undici from "undici";
import { Agent, interceptors, request } from "undici";
import { attachMintonce } from "../src/adapters/axios.ts";
import { type Fetch, withMintonce } from "../src/adapters/fetch.ts";
import { mintonceInterceptor } from "../src/adapters/undici.ts";
import { Token, type TokenProvider, Unavailable } from "../src/index.ts";
import { adapters } from "../testee/adapters.ts";

interface Arrival {
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: string;
  /** The header `x-a`. */
  readonly kind: unknown;
}

/** An API that refuses some tokens, and redirects `/to?…` to where that says. */
class Api implements AsyncDisposable {
  readonly arrivals: Arrival[] = [];
  readonly refused = new Set<string>();
  status = 401;
  refusal = "the API's own words";
  /** Refuses calls without a token, too. */
  refusesAll = false;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((call, answer) => {
      void this.#note(call).then(({ path, authorization }) => {
        const to = /\/to\?(.*)/.exec(path)?.[1];
        if (to !== undefined) answer.writeHead(307, { location: to }).end();
        else if (this.refusesAll || this.refused.has(authorization ?? ""))
          answer.writeHead(this.status).end(this.refusal);
        else answer.end("hello");
      });
    });
  }

  static async start(): Promise<Api> {
    const api = new Api();
    await new Promise<void>((resolve) => api.#server.listen(0, "127.0.0.1", resolve));
    return api;
  }

  get url(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}/`;
  }

  /** Tokens as they came, without "Bearer ". */
  get tokens(): (string | undefined)[] {
    return this.arrivals.map(({ authorization }) => authorization?.replace("Bearer ", ""));
  }

  async #note(call: IncomingMessage): Promise<Arrival> {
    let body = "";
    for await (const chunk of call) body += String(chunk);
    const arrival = {
      path: call.url ?? "",
      authorization: call.headers.authorization,
      body,
      kind: call.headers["x-a"],
    };
    this.arrivals.push(arrival);
    return arrival;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** A source that needs no server: adapters take it as well. */
class Fake implements TokenProvider {
  generation = 1n;
  readonly rejected: bigint[] = [];
  readonly warnings: string[] = [];
  failure: Error | undefined;
  expired = false;
  readonly logger = { warn: (message: string): number => this.warnings.push(message) };

  token(): Token {
    if (this.expired) throw new Unavailable("over", { reason: "TOKEN_EXPIRED" });
    const text = `secret-${String(this.generation)}`;
    return new Token({ accessToken: text, generation: this.generation, expiresAt: Infinity, refreshAt: Infinity });
  }

  get(): Promise<Token> {
    this.expired = false;
    return Promise.resolve(this.token());
  }

  reject(token: Token): Promise<Token> {
    this.rejected.push(token.generation);
    if (this.failure !== undefined) return Promise.reject(this.failure);
    this.generation = token.generation + 1n;
    return Promise.resolve(this.token());
  }
}

for (const [name, send] of Object.entries(adapters)) {
  test(`${name}: a refused token is rejected once, and the request repeated once with its body`, async () => {
    await using api = await Api.start();
    const source = new Fake();
    api.refused.add("Bearer secret-1");
    const answer = await send(source, { method: "POST", url: api.url, body: { text: "hi" } });
    assert.deepEqual(answer, { status: 200, body: "hello" });
    assert.deepEqual(source.rejected, [1n]);
    assert.deepEqual(api.tokens, ["secret-1", "secret-2"]);
    assert.deepEqual(
      api.arrivals.map(({ body }) => body),
      ["hi", "hi"],
    );
  });

  test(`${name}: the second 401 is the answer`, async () => {
    await using api = await Api.start();
    const source = new Fake();
    api.refused.add("Bearer secret-1").add("Bearer secret-2");
    assert.deepEqual(await send(source, { method: "GET", url: api.url, body: undefined }), {
      status: 401,
      body: api.refusal,
    });
    assert.deepEqual(source.rejected, [1n]);
    assert.equal(api.arrivals.length, 2);
  });

  test(`${name}: when the token cannot be replaced, the API's own 401 is the answer, with one warning`, async () => {
    await using api = await Api.start();
    const source = new Fake();
    source.failure = new Unavailable("too soon", { reason: "ROTATION_TOO_SOON" });
    api.refused.add("Bearer secret-1");
    api.refusal = "x".repeat(200_000);
    assert.deepEqual(await send(source, { method: "GET", url: api.url, body: undefined }), {
      status: 401,
      body: api.refusal,
    });
    assert.equal(source.warnings.length, 1);
    assert.match(source.warnings[0] ?? "", /too soon \(ROTATION_TOO_SOON\)/);
    assert.equal(api.arrivals.length, 1);
  });

  test(`${name}: a long 401 does not hinder the repetition`, async () => {
    await using api = await Api.start();
    const source = new Fake();
    api.refused.add("Bearer secret-1");
    api.refusal = "x".repeat(2_000_000);
    assert.deepEqual(await send(source, { method: "GET", url: api.url, body: undefined }), {
      status: 200,
      body: "hello",
    });
  });

  test(`${name}: a stream is not sent again, but the token is rejected`, async () => {
    await using api = await Api.start();
    const source = new Fake();
    api.refused.add("Bearer secret-1");
    const answer = await send(source, { method: "POST", url: api.url, body: { stream: "hi" } });
    assert.equal(answer.status, 401);
    assert.deepEqual(source.rejected, [1n]);
    assert.equal(api.arrivals.length, 1);
  });

  test(`${name}: another host does not get the token after a redirect, and its 401 rejects nothing`, async () => {
    await using api = await Api.start();
    await using other = await Api.start();
    const source = new Fake();
    other.refusesAll = true;
    const elsewhere = other.url.replace("127.0.0.1", "localhost");
    assert.equal(
      (await send(source, { method: "GET", url: `${api.url}to?${elsewhere}`, body: undefined })).status,
      401,
    );
    assert.deepEqual(other.tokens, [undefined]);
    assert.deepEqual(source.rejected, []);
  });

  test(`${name}: other answers are passed on`, async () => {
    await using api = await Api.start();
    const source = new Fake();
    api.refused.add("Bearer secret-1");
    api.status = 403;
    assert.equal((await send(source, { method: "GET", url: api.url, body: undefined })).status, 403);
    assert.deepEqual(source.rejected, []);
  });

  test(`${name}: it waits for a token when that is over`, async () => {
    await using api = await Api.start();
    const source = new Fake();
    source.expired = true;
    assert.equal((await send(source, { method: "GET", url: api.url, body: undefined })).status, 200);
  });
}

test("fetch: a Request object is repeated with its body", async () => {
  await using api = await Api.start();
  const source = new Fake();
  api.refused.add("Bearer secret-1");
  const asked = new Request(api.url, { method: "POST", body: "hi", headers: { authorization: "mine", "x-a": "1" } });
  assert.equal(await (await withMintonce(fetch, source)(asked)).text(), "hello");
  assert.deepEqual(
    api.arrivals.map(({ body }) => body),
    ["hi", "hi"],
  );
  assert.deepEqual(api.tokens, ["secret-1", "secret-2"]);
});

test("fetch: with that of undici, its own Request object keeps its headers and body", async () => {
  await using api = await Api.start();
  const source = new Fake();
  api.refused.add("Bearer secret-1");
  const asked = new undici.Request(api.url, { method: "POST", body: "hi", headers: { "x-a": "1" } });
  const send = withMintonce(undici.fetch as unknown as Fetch, source);
  assert.equal(await (await send(asked as unknown as Request)).text(), "hello");
  assert.deepEqual(
    api.arrivals.map(({ body, kind }) => [body, kind]),
    [
      ["hi", "1"],
      ["hi", "1"],
    ],
  );
});

test("fetch: a 401 at the end of redirects away and back rejects nothing", async () => {
  await using api = await Api.start();
  await using other = await Api.start();
  const source = new Fake();
  api.refusesAll = true;
  const elsewhere = other.url.replace("127.0.0.1", "localhost");
  const answer = await withMintonce(fetch, source)(`${api.url}to?${elsewhere}to?${api.url}`);
  assert.equal(answer.status, 401);
  assert.deepEqual([api.tokens, other.tokens], [["secret-1", undefined], [undefined]]);
  assert.deepEqual(source.rejected, []);
});

test("undici: composed before redirects, too, another origin gets no token", async () => {
  await using api = await Api.start();
  await using other = await Api.start();
  const source = new Fake();
  const agent = new Agent();
  const dispatcher = agent.compose(mintonceInterceptor(source), interceptors.redirect({ maxRedirections: 3 }));
  const elsewhere = other.url.replace("127.0.0.1", "localhost");
  const answer = await request(`${api.url}to?${elsewhere}`, { dispatcher, headers: { "x-a": "1" } });
  assert.equal(await answer.body.text(), "hello");
  assert.deepEqual([api.tokens, other.tokens], [["secret-1"], [undefined]]);
  await agent.close();
});

test("undici: who asked can give up while the token is being replaced", async () => {
  await using api = await Api.start();
  const source = new Fake();
  api.refused.add("Bearer secret-1");
  const controller = new AbortController();
  const { promise, resolve } = Promise.withResolvers<Token>();
  source.reject = () => {
    controller.abort();
    return promise;
  };
  const agent = new Agent();
  const dispatcher = agent.compose(mintonceInterceptor(source));
  await assert.rejects(request(api.url, { dispatcher, signal: controller.signal }), { name: "AbortError" });
  resolve(source.token());
  await agent.close();
  assert.equal(api.arrivals.length, 1);
});

test("axios: the interceptors can be taken out again, and a rejected promise is kept one", async () => {
  await using api = await Api.start();
  const source = new Fake();
  api.refused.add("Bearer secret-1").add("Bearer secret-2");
  const instance = axios.create({ proxy: false });
  const detach = attachMintonce(instance, source);
  await assert.rejects(instance.get(api.url), { status: 401 });
  assert.deepEqual(source.rejected, [1n]);
  detach();
  assert.equal((await instance.get(api.url)).status, 200);
  assert.deepEqual(api.tokens, ["secret-1", "secret-2", undefined]);
});

test("axios: a repeated body is transformed once, and has its own length", async () => {
  await using api = await Api.start();
  const source = new Fake();
  api.refused.add("Bearer secret-1");
  const instance = axios.create({ proxy: false, transformRequest: [(data: string) => `(${data})`] });
  attachMintonce(instance, source);
  assert.equal((await instance.post(api.url, "hi")).status, 200);
  assert.deepEqual(
    api.arrivals.map(({ body }) => body),
    ["(hi)", "(hi)"],
  );
});

test("axios: neither errors nor answers print the token", async () => {
  await using api = await Api.start();
  const source = new Fake();
  const instance = axios.create({ proxy: false });
  attachMintonce(instance, source);
  const failure = (url: string): Promise<unknown> => instance.get(url).catch((error: unknown) => error);
  const answer = await instance.get(api.url);
  api.refusesAll = true;
  const outcomes = [answer, await failure(api.url), await failure("http://127.0.0.1:1/")];
  assert.deepEqual(api.tokens, ["secret-1", "secret-1", "secret-2"]);
  for (const outcome of outcomes) {
    assert.doesNotMatch(inspect(outcome, { depth: 10 }) + JSON.stringify(outcome), /secret/);
  }
});

test("axios: a form is repeated", async () => {
  await using api = await Api.start();
  const source = new Fake();
  api.refused.add("Bearer secret-1");
  const instance = axios.create({ proxy: false });
  attachMintonce(instance, source);
  const form = new FormData();
  form.append("a", "b");
  assert.equal((await instance.post(api.url, form)).status, 200);
  assert.match(api.arrivals[1]?.body ?? "", /name="a"\r\n\r\nb\r\n/);
});
