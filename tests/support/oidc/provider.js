// An OAuth server that is not ours (npm oidc-provider), on a free port of loopback.
// argv[2]: JSON array of clients (client_id, token_endpoint_auth_method, client_secret or what else it needs).
// argv[3], optional: {"cert", "key", "ca"}, names of files: then it speaks TLS and asks for clients' certificates.
// Prints {"token_url": …} once it listens, then {"status": …} for each answer of its token endpoint. Ends when its
// standard input does.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import Provider, { errors } from "oidc-provider";

const ALGORITHMS = ["RS", "PS", "ES", "HS"].flatMap((kind) => [256, 384, 512].map((bits) => `${kind}${bits}`));
ALGORITHMS.push("EdDSA");
const AUDIENCE = "https://api.example.com/";
const SCOPES = ["orders:read", "orders:write"];

const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

const tls = process.argv[3] && Object.entries(JSON.parse(process.argv[3])).map(([name, file]) => [name, readFileSync(file)]);
// A certificate that it does not trust, or none, is refused by its token endpoint and not by the handshake.
const server = tls
  ? createTlsServer({ ...Object.fromEntries(tls), requestCert: true, rejectUnauthorized: false })
  : createServer();
server.listen(0, "127.0.0.1", () => {
  const url = `${tls ? "https" : "http"}://127.0.0.1:${server.address().port}`;
  const clients = JSON.parse(process.argv[2]).map((client) => ({
    ...client,
    scope: SCOPES.join(" "),
    grant_types: ["client_credentials"],
    redirect_uris: [],
    response_types: [],
  }));
  const provider = new Provider(url, {
    clients,
    scopes: [...SCOPES, "admin"], // which no client may have
    enabledJWA: { clientAuthSigningAlgValues: ALGORITHMS },
    clientAuthMethods: [
      "client_secret_basic",
      "client_secret_post",
      "client_secret_jwt",
      "private_key_jwt",
      "tls_client_auth",
    ],
    features: {
      mTLS: {
        enabled: true,
        tlsClientAuth: true,
        certificateBoundAccessTokens: true,
        getCertificate: (ctx) => ctx.socket.getPeerX509Certificate?.(),
        certificateAuthorized: (ctx) => ctx.socket.authorized,
        certificateSubjectMatches: (ctx, property, expected) =>
          property === "tls_client_auth_san_dns" &&
          ctx.socket.getPeerCertificate().subjectaltname?.split(", ").includes(`DNS:${expected}`),
      },
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => {
          if (resource !== AUDIENCE) throw new errors.InvalidTarget();
          return { scope: SCOPES.join(" "), audience: AUDIENCE, accessTokenFormat: "jwt", accessTokenTTL: 1200 };
        },
      },
    },
  });
  const answer = provider.callback();
  server.on("request", (request, response) => {
    response.on("finish", () => request.url === "/token" && say({ status: response.statusCode }));
    answer(request, response);
  });
  say({ token_url: `${url}/token` });
});

process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
