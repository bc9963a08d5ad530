package io.mintonce.googleauth;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.google.api.client.http.GenericUrl;
import com.google.api.client.http.javanet.NetHttpTransport;
import com.google.auth.RequestMetadataCallback;
import com.google.auth.http.HttpCredentialsAdapter;
import io.mintonce.ClosedException;
import io.mintonce.TokenSource;
import io.mintonce.testing.ScriptedApi;
import io.mintonce.testing.ScriptedApi.Seen;
import io.mintonce.testing.ScriptedServer;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.NotSerializableException;
import java.io.ObjectOutputStream;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class MintonceCredentialsTest {
  private static final String FIRST = "Bearer " + ScriptedServer.text(101);
  private static final String SECOND = "Bearer " + ScriptedServer.text(102);

  private final ScriptedServer server = new ScriptedServer();
  private final TokenSource source =
      TokenSource.builder("billing").target(server.target()).plaintext().noBearer().open();
  private final MintonceCredentials credentials = new MintonceCredentials(source);

  @AfterEach
  void stop() {
    source.close();
    server.close();
  }

  @Test
  void eachRequestReadsTheSource() throws Exception {
    assertEquals(Map.of("Authorization", List.of(FIRST)), credentials.getRequestMetadata());
    source.reject(source.get());
    assertEquals(Map.of("Authorization", List.of(SECOND)), credentials.getRequestMetadata());
  }

  @Test
  void theAsynchronousWayDoesTheSame() throws Exception {
    CompletableFuture<Map<String, List<String>>> result = new CompletableFuture<>();
    credentials.getRequestMetadata(
        null,
        Runnable::run,
        new RequestMetadataCallback() {
          @Override
          public void onSuccess(Map<String, List<String>> metadata) {
            result.complete(metadata);
          }

          @Override
          public void onFailure(Throwable error) {
            result.completeExceptionally(error);
          }
        });
    assertEquals(Map.of("Authorization", List.of(FIRST)), result.get(10, TimeUnit.SECONDS));
  }

  @Test
  void theLibrarysOwnHandlingOf401RejectsAndRepeats() throws Exception {
    try (ScriptedApi api = new ScriptedApi()) {
      api.refused.add(FIRST);
      var response =
          new NetHttpTransport()
              .createRequestFactory(new HttpCredentialsAdapter(credentials))
              .buildGetRequest(new GenericUrl(api.url()))
              .execute();
      assertEquals(200, response.getStatusCode());
      response.disconnect();
      assertEquals(List.of(new Seen(FIRST, ""), new Seen(SECOND, "")), api.seen);
      assertEquals(1, server.rejects.get());
    }
  }

  @Test
  void aLate401DoesNotCountForTheSuccessor() throws Exception {
    ExecutorService other = Executors.newSingleThreadExecutor();
    try {
      other.submit(() -> credentials.getRequestMetadata()).get(10, TimeUnit.SECONDS);
      credentials.getRequestMetadata();
      credentials.refresh();
      assertEquals(Map.of("Authorization", List.of(SECOND)), credentials.getRequestMetadata());
      Callable<Void> late =
          () -> {
            credentials.refresh();
            return null;
          };
      other.submit(late).get(10, TimeUnit.SECONDS);
      assertEquals(1, server.rejects.get());
      assertEquals(Map.of("Authorization", List.of(SECOND)), credentials.getRequestMetadata());
    } finally {
      other.shutdown();
    }
  }

  @Test
  void a401ThatAnotherThreadHandlesCounts() throws Exception {
    ExecutorService other = Executors.newSingleThreadExecutor();
    try {
      other.submit(() -> credentials.getRequestMetadata()).get(10, TimeUnit.SECONDS);
    } finally {
      other.shutdown();
    }
    credentials.refresh();
    assertEquals(1, server.rejects.get());
  }

  @Test
  void theyCannotBeSerialized() throws Exception {
    credentials.getRequestMetadata();
    try (ObjectOutputStream stream = new ObjectOutputStream(new ByteArrayOutputStream())) {
      assertThrows(NotSerializableException.class, () -> stream.writeObject(credentials));
    }
  }

  @Test
  void errorsAreWhatTheLibraryExpects() {
    source.close();
    IOException error = assertThrows(IOException.class, credentials::getRequestMetadata);
    assertInstanceOf(ClosedException.class, error.getCause());
  }
}
