/** The program that the conformance suite drives speaks its protocol, and shows no token. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { ScriptedServer } from "./support/server.ts";

interface Answer {
  readonly id: number;
  readonly ok?: Record<string, unknown>;
  readonly error?: { readonly class: string };
}

/** A running testee. */
class Testee {
  readonly #child = spawn(process.execPath, [fileURLToPath(new URL("../testee/testee.ts", import.meta.url))]);
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  output = "";
  #last = 0;

  constructor() {
    createInterface({ input: this.#child.stdout }).on("line", (line) => {
      this.output += line;
      const answer = JSON.parse(line) as Answer;
      this.#waiting.get(answer.id)?.(answer);
    });
    this.#child.stderr.on("data", (chunk) => (this.output += String(chunk)));
  }

  ask(op: string, fields: object = {}): Promise<Answer> {
    this.#last += 1;
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#waiting.set(this.#last, resolve);
    this.#child.stdin.write(`${JSON.stringify({ id: this.#last, op, ...fields })}\n`);
    return promise;
  }

  /** The exit code, after the end of stdin. */
  end(): Promise<number | null> {
    this.#child.stdin.end();
    return new Promise((resolve) => this.#child.on("close", resolve));
  }
}

test("opens, reads, prints, rejects, cancels, and ends with its input", async () => {
  await using server = await ScriptedServer.start();
  const testee = new Testee();
  const key = { client: "billing", audience: "https://api.example.com/", target: server.target };
  assert.equal((await testee.ask("hello")).ok?.["language"], "node");
  assert.equal((await testee.ask("open", { source: "s", ...key })).ok?.["generation"], 101);
  await testee.ask("client_open", { conn: "c", target: server.target });
  const watched = (await testee.ask("client_watch", { conn: "c", count: 1, ...key })).ok?.["tokens"] as unknown[];
  assert.equal(watched.length, 1);
  const burst = await testee.ask("burst", { n: 3, of: { op: "reject", source: "s", generation: 101 } });
  assert.equal((burst.ok?.["results"] as unknown[]).length, 3);
  assert.equal(server.calls.RejectToken, 1);
  const release = server.hold("GetToken");
  const waiting = testee.ask("client_get", { conn: "c", ...key });
  await server.until(() => server.calls.GetToken === 3);
  await testee.ask("cancel", { of: 6 });
  assert.equal((await waiting).error?.class, "Cancelled");
  release();
  assert.equal((await testee.ask("client_reject", { conn: "c", ...key })).error?.class, "Usage");
  const texts = (await testee.ask("print", { source: "s" })).ok?.["texts"] as Record<string, string>;
  for (const kind of ["token.", "source.", "error.", "client."]) {
    assert.ok(Object.keys(texts).some((name) => name.startsWith(kind)));
  }
  assert.equal((await testee.ask("nonsense")).error?.class, "Unsupported");
  assert.equal(await testee.end(), 0);
  assert.doesNotMatch(testee.output, /secret-\d/);
});
