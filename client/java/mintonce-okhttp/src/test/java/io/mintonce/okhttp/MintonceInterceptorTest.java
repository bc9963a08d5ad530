package io.mintonce.okhttp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.grpc.Status;
import io.mintonce.ClosedException;
import io.mintonce.TokenSource;
import io.mintonce.testing.ScriptedApi;
import io.mintonce.testing.ScriptedApi.Seen;
import io.mintonce.testing.ScriptedServer;
import java.io.IOException;
import java.util.List;
import okhttp3.MediaType;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.RequestBody;
import okhttp3.Response;
import okio.BufferedSink;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class MintonceInterceptorTest {
  private static final String FIRST = "Bearer " + ScriptedServer.text(101);
  private static final String SECOND = "Bearer " + ScriptedServer.text(102);

  private final ScriptedServer server = new ScriptedServer();
  private final ScriptedApi api = new ScriptedApi();
  private final TokenSource source =
      TokenSource.builder("billing").target(server.target()).plaintext().noBearer().open();
  private final OkHttpClient client =
      new OkHttpClient.Builder().addInterceptor(new MintonceInterceptor(source)).build();

  @AfterEach
  void stop() {
    source.close();
    server.close();
    api.close();
    client.dispatcher().executorService().shutdown();
    client.connectionPool().evictAll();
  }

  private int call(@Nullable RequestBody body) throws IOException {
    Request.Builder request = new Request.Builder().url(api.url());
    if (body != null) {
      request.post(body);
    }
    try (Response response = client.newCall(request.build()).execute()) {
      return response.code();
    }
  }

  private static RequestBody text() {
    return RequestBody.create("body", MediaType.get("text/plain"));
  }

  @Test
  void sendsTheToken() throws Exception {
    assertEquals(200, call(null));
    assertEquals(List.of(new Seen(FIRST, "")), api.seen);
  }

  @Test
  void after401ItRejectsOnceAndRepeatsOnceWithTheBody() throws Exception {
    api.refused.add(FIRST);
    assertEquals(200, call(text()));
    assertEquals(List.of(new Seen(FIRST, "body"), new Seen(SECOND, "body")), api.seen);
    assertEquals(1, server.rejects.get());
  }

  @Test
  void aSecond401IsReturned() throws Exception {
    api.refused.add("*");
    assertEquals(401, call(text()));
    assertEquals(2, api.seen.size());
    assertEquals(1, server.rejects.get());
  }

  @Test
  void aOneShotBodyIsNotRepeatedButTheTokenIsRejected() throws Exception {
    api.refused.add(FIRST);
    RequestBody once =
        new RequestBody() {
          @Override
          public @Nullable MediaType contentType() {
            return null;
          }

          @Override
          public boolean isOneShot() {
            return true;
          }

          @Override
          public void writeTo(BufferedSink sink) throws IOException {
            sink.writeUtf8("once");
          }
        };
    assertEquals(401, call(once));
    assertEquals(1, api.seen.size());
    assertEquals(1, server.rejects.get());
  }

  @Test
  void aRefusedRejectionGivesTheApisOwn401() throws Exception {
    api.refused.add(FIRST);
    server.failReject =
        ScriptedServer.error(Status.Code.RESOURCE_EXHAUSTED, "ROTATION_TOO_SOON", 60_000);
    assertEquals(401, call(null));
    assertEquals(1, api.seen.size());
  }

  @Test
  void anotherHostGetsNoTokenAndItsAnswerSaysNothingAboutIt() throws Exception {
    api.redirect = api.otherUrl();
    api.refused.add("");
    assertEquals(401, call(null));
    assertEquals(List.of(new Seen(FIRST, ""), new Seen("", "")), api.seen);
    assertEquals(0, server.rejects.get());
  }

  @Test
  void withoutATokenTheCallFailsAsOkHttpExpects() {
    source.close();
    IOException error = assertThrows(IOException.class, () -> call(null));
    assertInstanceOf(ClosedException.class, error.getCause());
  }
}
