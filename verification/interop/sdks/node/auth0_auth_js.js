// @auth0/auth0-auth-js: AuthClient. It reads /.well-known/openid-configuration first; it keeps no token.
import { AuthClient } from "@auth0/auth0-auth-js";
import { answer, audience, clientId, clientSecret, host } from "./asking.js";

const client = new AuthClient({ domain: host, clientId, clientSecret });
await answer(async () => (await client.getTokenByClientCredentials({ audience })).accessToken);
