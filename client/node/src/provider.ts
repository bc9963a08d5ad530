/** The part of a source that adapters need. Fakes in an application's tests implement it, too. */
import type { WaitOptions } from "./client.ts";
import type { Logger } from "./logger.ts";
import type { Token } from "./token.ts";

/** Gives tokens and takes rejections, as {@link TokenSource} does. */
export interface TokenProvider {
  /** The live token from memory. Throws MintonceError when there is none. */
  token(): Token;
  /** As `token`, but waits for a successor when the token is over. */
  get(options?: WaitOptions): Promise<Token>;
  /** Reports that an API refused the token. Resolves to the successor. */
  reject(token: Token, options?: WaitOptions): Promise<Token>;
  /** Where an adapter warns when a token could not be replaced. Default: `process.emitWarning`. */
  readonly logger?: Logger | undefined;
}
