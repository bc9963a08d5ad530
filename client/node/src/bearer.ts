/** What proves the caller's identity in metadata: a bearer token or an API key, from a file. */
import { FileFault, Watched } from "./files.ts";
import type { Logger } from "./logger.ts";

/** RFC 6750, section 2.1. JWTs (RFC 7515) and the API keys of the server are such. */
const TEXT = /^[A-Za-z0-9._~+/-]+=*$/;
/** What gRPC servers take as metadata by default. */
const LONGEST_BYTES = 8192;

/** The value of the `authorization` metadata, which follows the file. Throws Refused when it cannot be used now. */
export function watchedBearer(path: string, logger: Logger): Watched<string> {
  return new Watched(
    [path],
    ([content = Buffer.alloc(0)]) => authorization(content, path),
    "The file must hold one bearer token or API key and nothing else: see MINTONCE_BEARER_FILE and " +
      "MINTONCE_API_KEY_FILE, or the options bearerFile and apiKeyFile.",
    logger,
  );
}

function authorization(content: Buffer, path: string): string {
  // Bytes as characters: what is not ASCII then fails the pattern.
  const text = content.toString("latin1").trim();
  if (text === "") throw new FileFault(`${path} is empty`);
  if (text.length > LONGEST_BYTES) throw new FileFault(`${path} has more than ${String(LONGEST_BYTES)} bytes`);
  if (!TEXT.test(text)) {
    throw new FileFault(`${path} holds something else than one bearer token (RFC 6750, section 2.1)`);
  }
  return `Bearer ${text}`;
}
