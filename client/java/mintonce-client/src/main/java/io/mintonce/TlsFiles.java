package io.mintonce;

import io.grpc.ChannelCredentials;
import io.grpc.TlsChannelCredentials;
import io.mintonce.WatchedFiles.FileFault;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.Signature;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.DoubleSupplier;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** PEM files into gRPC's credentials, after a check: gRPC itself fails late and says little. */
final class TlsFiles {
  private static final String REMEDY =
      "The files must be there, be PEM, and belong together: see MINTONCE_CA_FILE,"
          + " MINTONCE_CERTIFICATE_FILE and MINTONCE_KEY_FILE, or tls(…).";

  /** The label and the content of each block. */
  private static final Pattern BLOCK =
      Pattern.compile("-----BEGIN ([A-Z0-9 ]+)-----([^-]*)-----END \\1-----");

  private static final byte[] PROBE = "mintonce".getBytes(StandardCharsets.US_ASCII);

  private TlsFiles() {}

  static WatchedFiles<ChannelCredentials> watch(Tls tls, DoubleSupplier clock) {
    List<Path> paths = new ArrayList<>();
    for (Path path : new Path[] {tls.caFile(), tls.certificateFile(), tls.keyFile()}) {
      if (path != null && !paths.contains(path)) {
        paths.add(path);
      }
    }
    return new WatchedFiles<>(
        paths,
        REMEDY,
        clock,
        contents -> {
          Map<Path, byte[]> known = new HashMap<>();
          for (int i = 0; i < paths.size(); i++) {
            known.put(paths.get(i), contents.get(i));
          }
          return load(tls, known);
        });
  }

  private static ChannelCredentials load(Tls tls, Map<Path, byte[]> contents) throws FileFault {
    TlsChannelCredentials.Builder credentials = TlsChannelCredentials.newBuilder();
    Path ca = tls.caFile();
    Path certificate = tls.certificateFile();
    try {
      if (ca != null) {
        credentials.trustManager(pem("CERTIFICATE", authorities(ca, contents.get(ca))));
      }
      if (certificate != null) {
        Path keyFile = tls.keyFile() == null ? certificate : tls.keyFile();
        List<byte[]> chain = blocks(certificate, contents.get(certificate), "CERTIFICATE");
        byte[] key = key(keyFile, contents.get(keyFile));
        checkPair(certificate, chain, keyFile, key);
        credentials.keyManager(pem("CERTIFICATE", chain), pem("PRIVATE KEY", List.of(key)));
      }
    } catch (IOException e) {
      throw new IllegalStateException("gRPC could not read from memory", e);
    }
    return credentials.build();
  }

  private static List<byte[]> authorities(Path path, byte @Nullable [] content) throws FileFault {
    List<byte[]> found = blocks(path, content, "CERTIFICATE");
    if (found.isEmpty()) {
      throw new FileFault(path + " holds no certificates of authorities");
    }
    for (byte[] each : found) {
      certificate(path, each);
    }
    return found;
  }

  private static X509Certificate certificate(Path path, byte[] der) throws FileFault {
    try {
      return (X509Certificate)
          CertificateFactory.getInstance("X.509")
              .generateCertificate(new ByteArrayInputStream(der));
    } catch (GeneralSecurityException e) {
      throw new FileFault(path + " holds a certificate that cannot be read");
    }
  }

  private static byte[] key(Path path, byte @Nullable [] content) throws FileFault {
    List<byte[]> keys = blocks(path, content, "PRIVATE KEY");
    if (!keys.isEmpty()) {
      return keys.get(0);
    }
    for (String label : List.of("EC PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY")) {
      if (hasBlock(content, label)) {
        throw new FileFault(
            path
                + " has its key as \""
                + label
                + "\", and Java takes \"PRIVATE KEY\" (PKCS#8) only",
            "Convert it: openssl pkcs8 -topk8 -nocrypt -in "
                + path
                + " -out "
                + path
                + ".p8, and name that file.");
      }
    }
    throw new FileFault(path + " holds no key");
  }

  private static void checkPair(Path path, List<byte[]> chain, Path keyFile, byte[] key)
      throws FileFault {
    if (chain.isEmpty()) {
      throw new FileFault(path + " holds no certificate");
    }
    PublicKey expected = certificate(path, chain.get(0)).getPublicKey();
    for (byte[] each : chain) {
      certificate(path, each);
    }
    boolean fits;
    try {
      PrivateKey own =
          KeyFactory.getInstance(expected.getAlgorithm())
              .generatePrivate(new PKCS8EncodedKeySpec(key));
      Signature signature = Signature.getInstance(signatureFor(expected.getAlgorithm()));
      signature.initSign(own);
      signature.update(PROBE);
      byte[] signed = signature.sign();
      signature.initVerify(expected);
      signature.update(PROBE);
      fits = signature.verify(signed);
    } catch (GeneralSecurityException e) {
      fits = false;
    }
    if (!fits) {
      throw new FileFault(path + " and " + keyFile + " are no certificate with its key");
    }
  }

  private static String signatureFor(String algorithm) {
    return switch (algorithm) {
      case "RSA" -> "SHA256withRSA";
      case "EC" -> "SHA256withECDSA";
      default -> algorithm; // EdDSA
    };
  }

  private static List<byte[]> blocks(Path path, byte @Nullable [] content, String label)
      throws FileFault {
    List<byte[]> found = new ArrayList<>();
    var matcher = BLOCK.matcher(text(content));
    while (matcher.find()) {
      if (label.equals(matcher.group(1))) {
        try {
          found.add(Base64.getMimeDecoder().decode(String.valueOf(matcher.group(2))));
        } catch (IllegalArgumentException e) {
          throw new FileFault(path + " has a broken block \"" + label + "\"");
        }
      }
    }
    return found;
  }

  private static boolean hasBlock(byte @Nullable [] content, String label) {
    return text(content).contains("-----BEGIN " + label + "-----");
  }

  private static String text(byte @Nullable [] content) {
    return content == null ? "" : new String(content, StandardCharsets.ISO_8859_1);
  }

  private static ByteArrayInputStream pem(String label, List<byte[]> blocks) {
    StringBuilder text = new StringBuilder();
    Base64.Encoder encoder = Base64.getMimeEncoder(64, new byte[] {'\n'});
    for (byte[] block : blocks) {
      text.append("-----BEGIN ").append(label).append("-----\n");
      text.append(encoder.encodeToString(block));
      text.append("\n-----END ").append(label).append("-----\n");
    }
    return new ByteArrayInputStream(text.toString().getBytes(StandardCharsets.US_ASCII));
  }
}
