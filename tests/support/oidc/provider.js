// An OAuth server that nobody here wrote (npm oidc-provider), on a free port of loopback.
// argv[2]: JSON array of clients (client_id, client_secret, token_endpoint_auth_method). Prints {"token_url": …} once it
// listens, then {"status": …} for each answer of its token endpoint. Ends when its standard input does.
import { createServer } from "node:http";
import Provider, { errors } from "oidc-provider";

const AUDIENCE = "https://api.example.com/";
const SCOPES = ["orders:read", "orders:write"];

const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const url = `http://127.0.0.1:${server.address().port}`;
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
    clientAuthMethods: ["client_secret_basic", "client_secret_post"],
    features: {
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
