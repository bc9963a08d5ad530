// auth0/legacy: AuthenticationClient. https only; it keeps no token.
import { AuthenticationClient } from "auth0/legacy";
import { answer, audience, clientId, clientSecret, host } from "./asking.js";

const client = new AuthenticationClient({ domain: host, clientId, clientSecret });
await answer(async () => (await client.oauth.clientCredentialsGrant({ audience })).data.access_token);
