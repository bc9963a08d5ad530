// npm oidc-provider on loopback, over plain HTTP and over TLS with client certificates.
// argv[2]: a JSON file with port, tlsPort, url (what it is reached by), audiences, scopes, clients (RFC 7591), cert, key,
// ca (names of PEM files).
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import Provider, { errors } from "oidc-provider";

const settings = JSON.parse(readFileSync(process.argv[2], "utf8"));
const scopes = settings.scopes;
const algorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"];

const provider = new Provider(settings.url, {
  clients: settings.clients.map((client) => ({
    ...client,
    scope: scopes.join(" "),
    grant_types: ["client_credentials"],
    redirect_uris: [],
    response_types: [],
  })),
  scopes: [...scopes, "admin"], // which no client may have
  enabledJWA: { clientAuthSigningAlgValues: algorithms },
  clientAuthMethods: ["client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth"],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    mTLS: {
      enabled: true,
      tlsClientAuth: true,
      getCertificate: (ctx) => ctx.socket.getPeerX509Certificate?.(),
      certificateAuthorized: (ctx) => ctx.socket.authorized,
      certificateSubjectMatches: (ctx, property, expected) =>
        property === "tls_client_auth_san_dns" &&
        ctx.socket.getPeerCertificate().subjectaltname?.split(", ").includes(`DNS:${expected}`),
    },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, resource) => {
        if (!settings.audiences.includes(resource)) throw new errors.InvalidTarget();
        return { scope: scopes.join(" "), audience: resource, accessTokenFormat: "jwt", accessTokenTTL: 1200 };
      },
    },
  },
});

const answer = provider.callback();
const tls = Object.fromEntries(["cert", "key", "ca"].map((name) => [name, readFileSync(settings[name])]));
createServer(answer).listen(settings.port, "127.0.0.1");
// A certificate that it does not trust, or none, is refused by its token endpoint and not by the handshake.
createTlsServer({ ...tls, requestCert: true, rejectUnauthorized: false }, answer).listen(settings.tlsPort, "127.0.0.1");
