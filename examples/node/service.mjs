// A small service that keeps a shared token: node service.mjs CLIENT [AUDIENCE [SCOPES]]
//
// The server is the one that MINTONCE_TARGET and the other MINTONCE_… variables name. Prints one line for each token: its
// generation and how long it lives, never its text. A line "reject" on stdin rejects the token, as after a 401 of an API.
// Ends on Ctrl-C, or at the end of stdin.
//
// It needs @mintonce/client, from a checkout:
//   make -C ../../client/node package
//   npm install --ignore-scripts --no-save ../../client/node/mintonce-client-0.1.0.tgz
import { createInterface } from "node:readline";
import { MintonceError, TokenSource } from "@mintonce/client";

const [client = "default", audience = "", scopes = ""] = process.argv.slice(2);
const stopped = new AbortController();
const say = (token, what) =>
  console.log(`generation ${token.generation} ${what}, ${(token.expiresInMs / 1000).toFixed(1)} s left`);

async function follow(source) {
  for await (const token of source.updates({ signal: stopped.signal })) say(token, "is here");
}

async function listen(source) {
  const lines = createInterface({ input: process.stdin, signal: stopped.signal });
  for await (const line of lines) {
    if (line.trim() !== "reject") continue;
    try {
      say(await source.reject(source.token()), "replaces the rejected one");
    } catch (error) {
      if (!MintonceError.is(error)) throw error;
      console.error(`not rejected: ${error.message} (${error.reason}). ${error.remedy}`);
    }
  }
  stopped.abort();
}

process.once("SIGINT", () => stopped.abort());
process.once("SIGTERM", () => stopped.abort());
let source;
try {
  source = await TokenSource.open(client, { audience, scopes, waitForServerMs: 60_000, signal: stopped.signal });
  await Promise.all([follow(source), listen(source)]);
} catch (error) {
  if (MintonceError.is(error)) {
    console.error(`${error.message} (${error.reason}). ${error.remedy}`);
    process.exitCode = 1;
  } else if (error.name !== "AbortError") throw error;
} finally {
  await source?.close();
}
