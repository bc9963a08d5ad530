// How long a read of the token takes, in nanoseconds: one line of JSON. The server is none: the source is opened against
// a script that answers once. The peer is a token that MSAL or google-auth would hold: a field and a date.
import { TokenSource } from "@mintonce/client";
import { ScriptedServer } from "../test/support/server.ts";

const READS = 5_000_000;
const ROUNDS = 5;

/** The best of some rounds: what the machine does besides only adds. */
function nanoseconds(read) {
  let best = Infinity;
  let sink = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const start = process.hrtime.bigint();
    for (let count = 0; count < READS; count += 1) sink += read().length;
    best = Math.min(best, Number(process.hrtime.bigint() - start) / READS);
  }
  if (sink === 0) throw new Error("nothing was read");
  return Math.round(best * 10) / 10;
}

const server = await ScriptedServer.start();
const source = await TokenSource.open("billing", { target: server.target });
const held = { token: source.token().header, expiresOn: new Date(Date.now() + 3_600_000) };
const peer = () => {
  if (held.expiresOn.getTime() <= Date.now()) throw new Error("over");
  return held.token;
};
const result = {
  language: "node",
  runtime: process.version,
  read_ns: nanoseconds(() => source.token().header),
  peer: "a cached token and Date.now()",
  peer_read_ns: nanoseconds(peer),
};
console.log(JSON.stringify(result));
await source.close();
server.stop();
// The test server's own timers would hold the process for a while.
process.exit(0);
