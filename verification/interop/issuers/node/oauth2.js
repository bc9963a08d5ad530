// npm @node-oauth/oauth2-server on loopback, with a small model in memory.
// argv[2]: a JSON file with port, scopes, clients (id, secret).
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import OAuth2Server from "@node-oauth/oauth2-server";

const settings = JSON.parse(readFileSync(process.argv[2], "utf8"));
const clients = new Map(settings.clients.map((client) => [client.id, { ...client, grants: ["client_credentials"] }]));

const model = {
  getClient: async (id, secret) => (clients.get(id)?.secret === secret ? clients.get(id) : null),
  getUserFromClient: async (client) => ({ id: client.id }),
  validateScope: async (_user, _client, scopes) => (scopes ?? []).every((each) => settings.scopes.includes(each)) && (scopes ?? []),
  saveToken: async (token, client, user) => ({ ...token, client, user }),
};
const oauth = new OAuth2Server({ model, accessTokenLifetime: 1200 });

const bodyOf = async (incoming) => {
  const chunks = [];
  for await (const chunk of incoming) chunks.push(chunk);
  return Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString()));
};

createServer(async (incoming, outgoing) => {
  const url = new URL(incoming.url, "http://127.0.0.1");
  if (url.pathname !== "/oauth/token") return outgoing.writeHead(404).end();
  const { method, headers } = incoming;
  const request = new OAuth2Server.Request({ method, headers, query: {}, body: await bodyOf(incoming) });
  const response = new OAuth2Server.Response();
  let body;
  try {
    await oauth.token(request, response);
    body = response.body;
  } catch (error) {
    // As express-oauth-server answers.
    response.status = error.code;
    body = { error: error.name, error_description: error.message };
  }
  outgoing.writeHead(response.status ?? 200, { ...response.headers, "Content-Type": "application/json; charset=utf-8" });
  outgoing.end(JSON.stringify(body));
}).listen(settings.port, "127.0.0.1");
