package io.mintonce.testing;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/** An HTTP proxy on this host that leads every CONNECT to one place. */
public final class ConnectProxy implements AutoCloseable {
  /** The first line of each request. */
  public final List<String> asked = new CopyOnWriteArrayList<>();

  private final List<Socket> sockets = new CopyOnWriteArrayList<>();
  private final ServerSocket listener = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
  private final String host;
  private final int targetPort;

  /** {@code target}: host:port. */
  public ConnectProxy(String target) throws IOException {
    int colon = target.lastIndexOf(':');
    host = target.substring(0, colon);
    targetPort = Integer.parseInt(target.substring(colon + 1));
    start(this::accept);
  }

  public int port() {
    return listener.getLocalPort();
  }

  @Override
  public void close() throws IOException {
    listener.close();
    for (Socket socket : sockets) {
      socket.close();
    }
  }

  private void accept() throws IOException {
    while (true) {
      Socket client = listener.accept();
      sockets.add(client);
      start(() -> lead(client));
    }
  }

  private void lead(Socket client) throws IOException {
    // A client says nothing after the empty line until it has an answer, so the reader takes no
    // more.
    var head =
        new BufferedReader(
            new InputStreamReader(client.getInputStream(), StandardCharsets.US_ASCII));
    asked.add(String.valueOf(head.readLine()));
    for (String line = head.readLine(); line != null && !line.isEmpty(); line = head.readLine()) {}
    Socket server = new Socket(host, targetPort);
    sockets.add(server);
    client.getOutputStream().write("HTTP/1.1 200 OK\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
    start(() -> server.getInputStream().transferTo(client.getOutputStream()));
    client.getInputStream().transferTo(server.getOutputStream());
  }

  /** Work that ends when its socket is closed. */
  private interface Work {
    void run() throws IOException;
  }

  private static void start(Work work) {
    Thread thread =
        new Thread(
            () -> {
              try {
                work.run();
              } catch (IOException e) {
                // Closed: the end of the test.
              }
            });
    thread.setDaemon(true);
    thread.start();
  }
}
