// client-oauth2. Its user asks `expired()`, which has no margin.
import ClientOAuth2 from "client-oauth2";
import { answer, audience, clientId, clientSecret, tokenUrl } from "./asking.js";

const client = new ClientOAuth2({ clientId, clientSecret, accessTokenUri: tokenUrl, body: { audience } });
let kept;
await answer(async () => {
  if (!kept || kept.expired()) kept = await client.credentials.getToken();
  return kept.accessToken;
});
