package example;

import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.catalina.connector.Connector;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.context.properties.ConfigurationProperties;
import org.springframework.boot.context.properties.EnableConfigurationProperties;
import org.springframework.boot.tomcat.servlet.TomcatServletWebServerFactory;
import org.springframework.boot.web.server.WebServerFactoryCustomizer;
import org.springframework.context.annotation.Bean;
import org.springframework.security.oauth2.core.AuthorizationGrantType;
import org.springframework.security.oauth2.core.ClientAuthenticationMethod;
import org.springframework.security.oauth2.jose.jws.SignatureAlgorithm;
import org.springframework.security.oauth2.server.authorization.client.RegisteredClient;
import org.springframework.security.oauth2.server.authorization.client.RegisteredClientRepository;
import org.springframework.security.oauth2.server.authorization.settings.ClientSettings;

/** Spring Authorization Server as Spring Boot sets it up. Clients come from its settings; TLS is beside plain HTTP. */
@SpringBootApplication
@EnableConfigurationProperties(Application.Registry.class)
public class Application {

  /** What a client is registered with; null where its method needs it not. */
  public record Client(String id, String method, String secret, String algorithm, String jwks, String subject) {

    RegisteredClient registered(List<String> scopes) {
      ClientSettings.Builder settings = ClientSettings.builder();
      if (algorithm != null) {
        settings.jwkSetUrl(jwks).tokenEndpointAuthenticationSigningAlgorithm(SignatureAlgorithm.from(algorithm));
      }
      if (subject != null) {
        settings.x509CertificateSubjectDN(subject);
      }
      return RegisteredClient.withId(UUID.randomUUID().toString())
          .clientId(id)
          .clientSecret(secret)
          .clientAuthenticationMethod(new ClientAuthenticationMethod(method))
          .authorizationGrantType(AuthorizationGrantType.CLIENT_CREDENTIALS)
          .scopes(names -> names.addAll(scopes))
          .clientSettings(settings.build())
          .build();
    }
  }

  /** The settings below `example`. */
  @ConfigurationProperties("example")
  public record Registry(List<Client> clients, List<String> scopes) {}

  /** By id. Spring's own repository in memory refuses two clients with one secret. */
  record Clients(Map<String, RegisteredClient> all) implements RegisteredClientRepository {

    @Override
    public void save(RegisteredClient client) { // with its secret hashed, after the first request
      all.put(client.getId(), client);
    }

    @Override
    public RegisteredClient findById(String id) {
      return all.get(id);
    }

    @Override
    public RegisteredClient findByClientId(String clientId) {
      return all.values().stream().filter(client -> client.getClientId().equals(clientId)).findFirst().orElse(null);
    }
  }

  public static void main(String[] arguments) {
    SpringApplication.run(Application.class, arguments);
  }

  @Bean
  RegisteredClientRepository clients(Registry registry) {
    Clients clients = new Clients(new ConcurrentHashMap<>());
    registry.clients().forEach(client -> clients.save(client.registered(registry.scopes())));
    return clients;
  }

  @Bean
  WebServerFactoryCustomizer<TomcatServletWebServerFactory> plainHttp(@Value("${example.port}") int port) {
    return factory -> {
      Connector connector = new Connector();
      connector.setPort(port);
      connector.setProperty("address", "127.0.0.1");
      factory.addAdditionalConnectors(connector);
    };
  }
}
