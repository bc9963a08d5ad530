// @azure/msal-node with the metadata in its configuration, so that it looks nothing up. It sends no audience.
import { ConfidentialClientApplication, ProtocolMode } from "@azure/msal-node";
import { answer, clientId, clientSecret, host, origin, tokenUrl } from "./asking.js";

const authority = `${origin}/t`;
const client = new ConfidentialClientApplication({
  auth: {
    clientId,
    clientSecret,
    authority,
    knownAuthorities: [host],
    authorityMetadata: JSON.stringify({
      issuer: authority,
      token_endpoint: tokenUrl,
      authorization_endpoint: `${authority}/none`,
      end_session_endpoint: `${authority}/none`,
      jwks_uri: `${authority}/none`,
    }),
  },
  system: { protocolMode: ProtocolMode.OIDC },
});
await answer(async () => (await client.acquireTokenByClientCredential({ scopes: ["read:orders"] })).accessToken);
