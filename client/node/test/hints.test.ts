/** What an error says when there is no connection. The texts are those of grpc-js. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { explain, type Link } from "../src/unreachable.ts";

const link: Link = {
  target: "mintonce:1",
  tls: true,
  serverName: undefined,
  showsCertificate: false,
  mayUseProxy: true,
};
const failed = (why: string): string => `No connection established. Last error: ${why}. Resolution note: `;

const cases: readonly [string, Partial<Link>, string, RegExp][] = [
  [
    failed("Error: connect ECONNREFUSED 10.0.0.1:1"),
    {},
    "nothing listens there",
    /Is mintonced running, and at mintonce:1\?/,
  ],
  [failed("Error: connect ENOENT /run/s"), {}, "nothing listens there", /MINTONCE_TARGET/],
  [failed("Error: connect ETIMEDOUT 10.0.0.1:1"), {}, "the network does not reach it", /firewall/],
  ["Name resolution failed for target dns:nope.invalid:1", {}, "its name cannot be resolved", /host name right/],
  [failed("Error: certificate has expired"), {}, "its certificate, or that of its CA, has expired", /Renew/],
  [failed("Error: certificate is not yet valid"), {}, "its certificate is not valid yet", /clock/],
  [
    failed("Error: unable to get local issuer certificate"),
    {},
    "its certificate is not from a CA that this client trusts",
    /MINTONCE_CA_FILE/,
  ],
  [failed("Protocol error (2026-11-29T00:00:56.169Z)"), { tls: false }, "it does not speak gRPC", /web server/],
  [failed("Failed to connect (2026-11-29T00:00:56.231Z)"), { tls: false }, "it closes the connection", /may want TLS/],
  [
    failed("Failed to connect (2026-11-29T00:00:56.231Z)"),
    { showsCertificate: true },
    "it closes the connection",
    /in date/,
  ],
  [
    failed(
      "40AD:error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required:../deps/x.c:918:SSL alert number 116",
    ),
    {},
    "it closes the connection",
    /shows no certificate/,
  ],
  // With several addresses the balancer speaks, and says again what the connections say.
  [
    `round_robin: No connection established. Last error: ${failed("Failed to connect")}`,
    { tls: false },
    "it closes the connection",
    /may want TLS/,
  ],
  [
    `round_robin: No connection established. Last error: ${failed("it is tired")}`,
    {},
    "it is tired",
    /may be restarting/,
  ],
  ["Connection dropped", {}, "the connection was lost (Connection dropped)", /may be restarting/],
  ["\u001b[31mred", {}, "the connection was lost (\\x1b[31mred)", /may be restarting/],
];
for (const [details, how, why, remedy] of cases) {
  test(`a hint: ${why}`, () => {
    const found = explain(details, { ...link, ...how }, {});
    assert.equal(found.why, why);
    assert.match(found.remedy, remedy);
  });
}

test("a proxy that fails is named by its variable, not by its value", () => {
  const found = explain(failed("undefined"), link, { https_proxy: "http://user:secret@proxy:1" });
  assert.equal(found.why, "the HTTP proxy refused the connection");
  assert.match(found.remedy, /https_proxy/);
  assert.doesNotMatch(found.remedy, /secret/);
  const exempt = explain(failed("Error: connect ECONNREFUSED"), link, {
    https_proxy: "http://p:1",
    no_proxy: "mintonce",
  });
  assert.doesNotMatch(exempt.remedy, /proxy/);
});
