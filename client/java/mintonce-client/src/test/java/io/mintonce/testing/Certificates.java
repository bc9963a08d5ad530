package io.mintonce.testing;

import io.grpc.ServerCredentials;
import io.grpc.TlsServerCredentials;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;

/** A CA of a test's own, made by the keytool of this Java. */
public final class Certificates {
  private static final char[] PASSWORD = "changeit".toCharArray();

  private final Path folder;
  private final Path store;
  private final String name;

  /** Makes the CA. */
  public Certificates(Path folder, String name) throws Exception {
    this.folder = folder;
    this.name = name;
    this.store = folder.resolve(name + ".p12");
    keytool("-alias", "ca", "-dname", "CN=" + name, "-ext", "bc:c");
  }

  public Path ca() throws Exception {
    return write(name + "-ca.pem", pem("CERTIFICATE", keys().getCertificate("ca").getEncoded()));
  }

  /** A certificate of this CA, for the names of loopback if {@code san} is "". */
  public Pair issue(String alias, String san) throws Exception {
    keytool("-alias", alias, "-dname", "CN=" + alias, "-signer", "ca", "-ext", "san=" + san);
    KeyStore keys = keys();
    StringBuilder chain = new StringBuilder();
    for (Certificate each : keys.getCertificateChain(alias)) {
      chain.append(pem("CERTIFICATE", each.getEncoded()));
    }
    String key = pem("PRIVATE KEY", keys.getKey(alias, PASSWORD).getEncoded());
    return new Pair(
        write(name + "-" + alias + ".pem", chain.toString()),
        write(name + "-" + alias + ".key", key));
  }

  /** For a server that shows this certificate. */
  public static ServerCredentials server(Pair pair) throws IOException {
    return TlsServerCredentials.create(pair.certificate().toFile(), pair.key().toFile());
  }

  /** For a server that also wants a certificate of its callers. */
  public static ServerCredentials mutual(Pair pair, Path clientCa) throws IOException {
    return TlsServerCredentials.newBuilder()
        .keyManager(pair.certificate().toFile(), pair.key().toFile())
        .trustManager(clientCa.toFile())
        .clientAuth(TlsServerCredentials.ClientAuth.REQUIRE)
        .build();
  }

  public record Pair(Path certificate, Path key) {}

  private KeyStore keys() throws GeneralSecurityException, IOException {
    return KeyStore.getInstance(store.toFile(), PASSWORD);
  }

  private Path write(String file, String text) throws IOException {
    return Files.writeString(folder.resolve(file), text);
  }

  private static String pem(String label, byte[] der) {
    String text = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(der);
    return "-----BEGIN " + label + "-----\n" + text + "\n-----END " + label + "-----\n";
  }

  private void keytool(String... options) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "keytool").toString());
    command.addAll(
        List.of("-genkeypair", "-keyalg", "EC", "-validity", "2", "-storetype", "PKCS12"));
    command.addAll(List.of("-keystore", store.toString(), "-storepass", new String(PASSWORD)));
    command.addAll(List.of(options));
    Process process =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectInput(new File("/dev/null"))
            .start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    if (process.waitFor() != 0) {
      throw new IOException("keytool failed: " + output);
    }
  }
}
