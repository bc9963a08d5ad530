package example;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;

import com.fasterxml.jackson.databind.ObjectMapper;

/**
 * Asks an SDK (the argument) for a token for each line on stdin, and prints a line of JSON.
 *
 * <p>First {"ready": true}; then {"sha256": the first 16 hex digits of the token's SHA-256}, or
 * {"error": what the user of the SDK sees, "leak": whether a stack trace would show the secret}. Never a token.
 */
public final class Ask {
    static final String TOKEN_URL = System.getenv("SDK_TOKEN_URL");
    static final String CLIENT_ID = System.getenv("SDK_CLIENT_ID");
    static final String CLIENT_SECRET = System.getenv("SDK_CLIENT_SECRET");
    static final String AUDIENCE = System.getenv("SDK_AUDIENCE");

    /** Gives the text of a token. */
    interface Sdk {
        String token() throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        Sdk sdk = switch (arguments[0]) {
            case "auth0" -> Sdks.auth0();
            case "nimbus" -> Sdks::nimbus;
            case "spring" -> SpringSdk.spring();
            default -> throw new IllegalArgumentException(arguments[0]);
        };
        ObjectMapper mapper = new ObjectMapper();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        System.out.println(mapper.writeValueAsString(Map.of("ready", true)));
        while (lines.readLine() != null) {
            System.out.println(mapper.writeValueAsString(ask(sdk)));
        }
        System.exit(0); // the SDK's own threads may still wait
    }

    private static Map<String, Object> ask(Sdk sdk) {
        Map<String, Object> said = new LinkedHashMap<>();
        try {
            byte[] sum = MessageDigest.getInstance("SHA-256").digest(sdk.token().getBytes(StandardCharsets.UTF_8));
            said.put("sha256", HexFormat.of().formatHex(sum).substring(0, 16));
        } catch (Exception error) {
            said.put("error", text(error));
            said.put("leak", shows(error));
        }
        return said;
    }

    /** The exception and what caused it. */
    private static String text(Throwable error) {
        String own = error.toString();
        return error.getCause() == null ? own : own + "; cause: " + text(error.getCause());
    }

    private static boolean shows(Exception error) {
        StringWriter printed = new StringWriter();
        error.printStackTrace(new PrintWriter(printed));
        byte[] pair = (CLIENT_ID + ":" + CLIENT_SECRET).getBytes(StandardCharsets.UTF_8);
        String basic = Base64.getEncoder().encodeToString(pair);
        return printed.toString().contains(CLIENT_SECRET) || printed.toString().contains(basic);
    }
}
