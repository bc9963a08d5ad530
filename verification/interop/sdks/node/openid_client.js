// openid-client, without discovery. It keeps no token.
import * as client from "openid-client";
import { answer, audience, clientId, clientSecret, origin, tokenUrl } from "./asking.js";

const server = { issuer: origin, token_endpoint: tokenUrl };
const config = new client.Configuration(server, clientId, clientSecret);
await answer(async () => (await client.clientCredentialsGrant(config, { audience })).access_token);
