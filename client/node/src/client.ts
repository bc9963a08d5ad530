/** The calls of the server. */
import { create, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { type Abort, CallFailure, type Method, unary } from "./calls.ts";
import { Connection } from "./connection.ts";
import { closed } from "./errors.ts";
import { AdminService, ListTokensRequestSchema, RotateTokenRequestSchema } from "./gen/mintonce/v1/admin_pb.ts";
import {
  GetTokenRequestSchema,
  RejectTokenRequestSchema,
  TokenService,
  WatchTokenRequestSchema,
} from "./gen/mintonce/v1/tokens_pb.ts";
import type { Logger } from "./logger.ts";
import { type ConnectionOptions, resolve, type Way } from "./options.ts";
import type { Token } from "./token.ts";
import { translate } from "./translate.ts";
import { duration, int32, int64, must, wellFormed } from "./validate.ts";
import { Watch } from "./watch.ts";
import { durationOf, keyOf, type KeyOptions, pageOf, type Rotation, type TokenPage, tokenOf } from "./wire.ts";

/** How long a call or a wait may take, and how it is given up. */
export interface WaitOptions {
  /** Milliseconds, retries included. Default: as the client was made. */
  readonly timeoutMs?: number | undefined;
  /** Gives up when it aborts: its reason is then thrown as it is, normally an AbortError. */
  readonly signal?: AbortSignal | undefined;
}

/** What `Client.get` takes. */
export interface GetOptions extends KeyOptions, WaitOptions {
  /** Milliseconds of lifetime that the token should have left; a token with less is replaced first. */
  readonly minTtlMs?: number | undefined;
}

/** What `Client.reject` takes: which token was refused, in one of three ways. */
export interface RejectOptions extends KeyOptions, WaitOptions {
  readonly token?: Token | undefined;
  readonly generation?: bigint | undefined;
  /** The SHA-256 of the text: 32 bytes. For programs that do not know the generation. */
  readonly accessTokenSha256?: Uint8Array | undefined;
}

/** What `Client.list` takes. */
export interface ListOptions extends WaitOptions {
  /** Only tokens of this client. Default: of all. */
  readonly client?: string | undefined;
  /** At most so many; 0 for 1000, which is also the maximum. */
  readonly pageSize?: number | undefined;
  /** The `nextPageToken` of the page before. */
  readonly pageToken?: string | undefined;
}

/**
 * A connection to the server. Make one and keep it; `close()` it when done, or declare it with `await using`.
 *
 * To send one token again and again, use a {@link TokenSource}: it reads memory where `get` makes a call.
 * All methods throw MintonceError, or the reason of their signal.
 */
export class Client implements AsyncDisposable {
  readonly #way: Way;
  readonly #connection: Connection;
  readonly #running = new Set<Abort>();
  #closed = false;

  /** Makes no call. Throws Refused for files that cannot be used, and TypeError for options that contradict each other. */
  constructor(options: ConnectionOptions = {}) {
    this.#way = resolve(options);
    this.#connection = new Connection(this.#way);
  }

  /** Where the server is. */
  get target(): string {
    return this.#way.target;
  }

  /** Milliseconds that a call may take, unless it says otherwise. */
  get timeoutMs(): number {
    return this.#way.timeoutMs;
  }

  /** Where warnings go. */
  get logger(): Logger {
    return this.#way.logger;
  }

  /** The live token of a key, minted if there is none. */
  async get(client: string, options: GetOptions = {}): Promise<Token> {
    const request = create(GetTokenRequestSchema, { key: keyOf(client, options) });
    if (options.minTtlMs !== undefined) request.minTtl = durationOf(duration("minTtlMs", options.minTtlMs));
    const sentAt = performance.now();
    const response = await this.#call(TokenService.method.getToken, request, options);
    return tokenOf(response.token, sentAt);
  }

  /**
   * The live token, then each successor as it is committed. The call starts at once and goes on until the iteration is
   * left, or the `signal` aborts, or `timeoutMs` is over, which is an error. It is also one when the server drains or is
   * lost: a {@link TokenSource} goes on then.
   */
  watch(client: string, options: KeyOptions & WaitOptions = {}): Watch {
    this.#mustBeOpen();
    if (options.timeoutMs !== undefined) must.beSpan("timeoutMs", options.timeoutMs);
    options.signal?.throwIfAborted();
    const request = create(WatchTokenRequestSchema, { key: keyOf(client, options) });
    return new Watch(this.#connection, request, options, this.#running);
  }

  /**
   * Reports that an API refused a token. True: it was the current token and is not served any more. False: it had been
   * replaced before. Does not mint.
   */
  async reject(client: string, options: RejectOptions): Promise<boolean> {
    const { token, accessTokenSha256 } = options;
    const generation = token?.generation ?? options.generation;
    const request = create(RejectTokenRequestSchema, { key: keyOf(client, options) });
    if (generation !== undefined) {
      request.rejected = { case: "generation", value: int64("generation", generation) };
    } else if (accessTokenSha256 !== undefined) {
      request.rejected = { case: "accessTokenSha256", value: Uint8Array.from(accessTokenSha256) };
    } else {
      throw new TypeError("reject needs one of token, generation and accessTokenSha256");
    }
    return (await this.#call(TokenService.method.rejectToken, request, options)).wasCurrent;
  }

  /** A page of the live tokens, never their text. */
  async list(options: ListOptions = {}): Promise<TokenPage> {
    const request = create(ListTokensRequestSchema, {
      client: wellFormed("client", options.client ?? ""),
      pageSize: int32("pageSize", options.pageSize ?? 0),
      pageToken: wellFormed("pageToken", options.pageToken ?? ""),
    });
    return pageOf(await this.#call(AdminService.method.listTokens, request, options));
  }

  /** All pages of `list`, beginning with `pageToken`. `timeoutMs`: for each page. */
  async *pages(options: ListOptions = {}): AsyncGenerator<TokenPage, void> {
    let pageToken = options.pageToken ?? "";
    do {
      const page = await this.list({ ...options, pageToken });
      yield page;
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }

  /** Mints the successor of a key's token now. The old one is served until then. Never repeated automatically. */
  async rotate(client: string, options: KeyOptions & WaitOptions = {}): Promise<Rotation> {
    const request = create(RotateTokenRequestSchema, { key: keyOf(client, options) });
    const { previousGeneration, generation } = await this.#call(AdminService.method.rotateToken, request, options);
    return { previousGeneration, generation };
  }

  /** Cancels what is under way. Calls and watches then throw Closed. May be called again. */
  close(): Promise<void> {
    this.#closed = true;
    for (const abort of this.#running) abort(closed("client"));
    this.#connection.close();
    return Promise.resolve();
  }

  /** As `close`: for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #call<I extends DescMessage, O extends DescMessage>(
    method: Method<I, O>,
    request: MessageShape<I>,
    { timeoutMs = this.#way.timeoutMs, signal }: WaitOptions,
  ): Promise<MessageShape<O>> {
    this.#mustBeOpen();
    must.beSpan("timeoutMs", timeoutMs);
    signal?.throwIfAborted();
    const metadata = this.#connection.metadata();
    const line = this.#connection.acquire();
    const { answer, abort } = unary(line, method, request, { metadata, timeoutMs });
    const onAbort = (): void => {
      abort(signal?.reason);
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#running.add(abort);
    try {
      return await answer;
    } catch (error) {
      // Made here, after the await, so that its stack shows who called.
      throw error instanceof CallFailure ? translate(error.error, this.#connection.link) : error;
    } finally {
      signal?.removeEventListener("abort", onAbort);
      this.#running.delete(abort);
      line.release();
    }
  }

  #mustBeOpen(): void {
    if (this.#closed) throw closed("client");
  }
}
