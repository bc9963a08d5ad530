// simple-oauth2. Its user asks `expired(seconds)`; ten is what is usual.
import { ClientCredentials } from "simple-oauth2";
import { answer, audience, clientId, clientSecret, origin, pathname } from "./asking.js";

const client = new ClientCredentials({
  client: { id: clientId, secret: clientSecret },
  auth: { tokenHost: origin, tokenPath: pathname },
});
let kept;
await answer(async () => {
  if (!kept || kept.expired(10)) kept = await client.getToken({ audience });
  return kept.token.access_token;
});
