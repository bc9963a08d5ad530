package example;

import org.springframework.security.oauth2.client.AuthorizedClientServiceOAuth2AuthorizedClientManager;
import org.springframework.security.oauth2.client.InMemoryOAuth2AuthorizedClientService;
import org.springframework.security.oauth2.client.OAuth2AuthorizeRequest;
import org.springframework.security.oauth2.client.OAuth2AuthorizedClientProviderBuilder;
import org.springframework.security.oauth2.client.endpoint.RestClientClientCredentialsTokenResponseClient;
import org.springframework.security.oauth2.client.registration.ClientRegistration;
import org.springframework.security.oauth2.client.registration.InMemoryClientRegistrationRepository;
import org.springframework.security.oauth2.core.AuthorizationGrantType;

/** Spring Security: a manager, as a service without users has it. It keeps the token, and asks 60 s before its end. */
final class SpringSdk {
    private SpringSdk() {
    }

    static Ask.Sdk spring() {
        var registrations = new InMemoryClientRegistrationRepository(ClientRegistration.withRegistrationId("mintonce")
                .tokenUri(Ask.TOKEN_URL)
                .clientId(Ask.CLIENT_ID)
                .clientSecret(Ask.CLIENT_SECRET)
                .authorizationGrantType(AuthorizationGrantType.CLIENT_CREDENTIALS)
                .build());
        var asking = new RestClientClientCredentialsTokenResponseClient();
        asking.setParametersCustomizer(parameters -> parameters.set("audience", Ask.AUDIENCE));
        var manager = new AuthorizedClientServiceOAuth2AuthorizedClientManager(
                registrations, new InMemoryOAuth2AuthorizedClientService(registrations));
        manager.setAuthorizedClientProvider(OAuth2AuthorizedClientProviderBuilder.builder()
                .clientCredentials(client -> client.accessTokenResponseClient(asking))
                .build());
        var request = OAuth2AuthorizeRequest.withClientRegistrationId("mintonce").principal("mintonce").build();
        return () -> manager.authorize(request).getAccessToken().getTokenValue();
    }
}
