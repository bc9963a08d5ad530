/** What all HTTP adapters do after a 401. */
import { MintonceError } from "../errors.ts";
import { processWarnings } from "../logger.ts";
import type { TokenProvider } from "../provider.ts";
import type { Token } from "../token.ts";

/** The successor of a token that an API refused; undefined, with one warning, when there is none. */
export async function replaced(
  source: TokenProvider,
  token: Token,
  signal?: AbortSignal | null,
): Promise<Token | undefined> {
  try {
    return await source.reject(token, { signal: signal ?? undefined });
  } catch (error) {
    if (!MintonceError.is(error)) throw error;
    (source.logger ?? processWarnings).warn(
      `the API answered 401, and the token could not be replaced: ${error.message} (${error.reason})`,
    );
    return undefined;
  }
}
