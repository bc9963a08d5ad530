package example;

import java.net.URI;

import com.auth0.client.auth.AuthAPI;
import com.nimbusds.oauth2.sdk.ClientCredentialsGrant;
import com.nimbusds.oauth2.sdk.TokenRequest;
import com.nimbusds.oauth2.sdk.TokenResponse;
import com.nimbusds.oauth2.sdk.auth.ClientSecretBasic;
import com.nimbusds.oauth2.sdk.auth.Secret;
import com.nimbusds.oauth2.sdk.id.ClientID;

/** Those that keep no token. */
final class Sdks {
    private Sdks() {
    }

    /** auth0: AuthAPI, which sends JSON. */
    static Ask.Sdk auth0() {
        URI url = URI.create(Ask.TOKEN_URL);
        AuthAPI client = AuthAPI.newBuilder(url.getScheme() + "://" + url.getAuthority(), Ask.CLIENT_ID, Ask.CLIENT_SECRET).build();
        return () -> client.requestToken(Ask.AUDIENCE).execute().getBody().getAccessToken();
    }

    /** Nimbus. It raises no exception for an error that the server states. */
    static String nimbus() throws Exception {
        var proof = new ClientSecretBasic(new ClientID(Ask.CLIENT_ID), new Secret(Ask.CLIENT_SECRET));
        var request = new TokenRequest.Builder(URI.create(Ask.TOKEN_URL), proof, new ClientCredentialsGrant())
                .customParameter("audience", Ask.AUDIENCE)
                .build();
        TokenResponse response = TokenResponse.parse(request.toHTTPRequest().send());
        if (!response.indicatesSuccess()) {
            var error = response.toErrorResponse().getErrorObject();
            throw new IllegalStateException(
                    error.getHTTPStatusCode() + " " + error.getCode() + ": " + error.getDescription());
        }
        return response.toSuccessResponse().getTokens().getAccessToken().getValue();
    }
}
