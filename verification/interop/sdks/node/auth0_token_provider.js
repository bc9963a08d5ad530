// auth0: the TokenProvider that its ManagementClient uses. https only.
import { TokenProvider } from "auth0";
import { answer, audience, clientId, clientSecret, host } from "./asking.js";

const provider = new TokenProvider({ domain: host, clientId, clientSecret, audience });
await answer(() => provider.getAccessToken());
