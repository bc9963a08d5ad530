/** A token that is always at hand. */
import { inspect } from "node:util";
import { Client, type WaitOptions } from "./client.ts";
import { again, closed, MintonceError, noSuccessor, Unreachable } from "./errors.ts";
import { backoff, Follower } from "./follower.ts";
import type { Logger } from "./logger.ts";
import type { ConnectionOptions } from "./options.ts";
import type { TokenProvider } from "./provider.ts";
import type { Token } from "./token.ts";
import { must } from "./validate.ts";
import { pause, Waiters } from "./waiting.ts";
import { keyOf, type KeyOptions } from "./wire.ts";

/** What `TokenSource.open` takes. */
export interface SourceOptions extends KeyOptions, ConnectionOptions {
  /** A client to share, which stays the caller's to close. Without it the source makes its own from these options. */
  readonly via?: Client | undefined;
  /**
   * Milliseconds to wait for a server that is not there yet, or drains. Default: 0, so `open` fails at once, which shows
   * a wrong address. Other errors end the wait.
   */
  readonly waitForServerMs?: number | undefined;
  /** Gives up the opening. It has no effect on the source that was opened. */
  readonly signal?: AbortSignal | undefined;
}

const CONNECTION_OPTIONS = ["target", "tls", "bearerFile", "apiKeyFile", "logger"] as const;

/**
 * One key's token, kept up to date in the background.
 *
 * `open` resolves when the first token is here. From then on `token()` and `get()` read memory: no call. The server may
 * restart or be away: the token is served until it expires. Close the source when done, or declare it with `await
 * using`: its watch keeps the process from ending.
 */
export class TokenSource implements TokenProvider, AsyncDisposable {
  readonly #client: Client;
  readonly #owns: boolean;
  readonly #name: string;
  readonly #key: KeyOptions;
  readonly #timeoutMs: number;
  readonly #follower: Follower;
  readonly #changed = new Waiters();
  readonly #loop: Promise<void>;
  /** The follower's token; undefined also after `close`. A field of its own, for the reads that must be fast. */
  #token: Token | undefined;
  #closed = false;
  /** Ends the call or the pause that is under way. */
  #step = new AbortController();
  /** Whether that step may be ended only to look again: a watch or a pause, but not a fetch or a report. */
  #isIdle = false;

  private constructor(client: Client, owns: boolean, name: string, key: KeyOptions, timeoutMs: number, first: Token) {
    this.#client = client;
    this.#owns = owns;
    this.#name = name;
    this.#key = key;
    this.#timeoutMs = timeoutMs;
    this.#follower = new Follower(first, performance.now());
    this.#token = first;
    this.#loop = this.#run();
  }

  /**
   * Fetches the first token, and follows its successors until `close`.
   *
   * Throws MintonceError when there is no token, TypeError for options that contradict each other, or the reason of the
   * signal. Nothing is left behind then.
   *
   * @param client - the name under which the OAuth client is registered with the server.
   */
  static async open(client: string, options: SourceOptions = {}): Promise<TokenSource> {
    const { via, waitForServerMs = 0, signal, audience, scopes } = options;
    if (via !== undefined && CONNECTION_OPTIONS.some((name) => options[name] !== undefined)) {
      throw new TypeError(`give ${CONNECTION_OPTIONS.join(", ")} to the client that the source shares`);
    }
    if (waitForServerMs !== 0) must.beSpan("waitForServerMs", waitForServerMs);
    const key = { audience, scopes };
    keyOf(client, key); // throws before there is anything to close
    const shared = via ?? new Client(options);
    const timeoutMs = options.timeoutMs ?? shared.timeoutMs;
    try {
      must.beSpan("timeoutMs", timeoutMs);
      const first = await firstToken(shared, client, { ...key, timeoutMs, signal }, waitForServerMs);
      return new TokenSource(shared, via === undefined, client, key, timeoutMs, first);
    } catch (error) {
      if (via === undefined) await shared.close();
      throw error;
    }
  }

  /** Where warnings go. */
  get logger(): Logger {
    return this.#client.logger;
  }

  /** The live token: a memory read. Throws TokenExpired when there is none, and Closed after `close`. */
  token(): Token {
    const token = this.#token;
    if (token !== undefined && performance.now() < token.expiresAt) return token;
    this.#mustBeOpen();
    throw this.#follower.expired();
  }

  /**
   * The live token: a memory read. Waits for a successor when the token is over; throws TokenExpired when none comes.
   */
  async get(options: WaitOptions = {}): Promise<Token> {
    options.signal?.throwIfAborted();
    const token = this.#token;
    if (token !== undefined && performance.now() < token.expiresAt) return token;
    this.#mustBeOpen();
    const follower = this.#follower;
    follower.hurry(performance.now());
    const seen = follower.setbacks;
    this.#kick();
    await this.#until(() => this.#live() !== undefined || follower.setbacks !== seen, options);
    return this.token();
  }

  /**
   * Reports that an API refused the token (401). Resolves to the successor when it is here.
   *
   * The server gets one report for each generation, however many callers report it; later callers get the successor at
   * once. Throws MintonceError when the report was refused (the token stays in use), or no successor came in time.
   */
  async reject(token: Token, options: WaitOptions = {}): Promise<Token> {
    options.signal?.throwIfAborted();
    this.#mustBeOpen();
    const follower = this.#follower;
    const successor = (): Token | undefined => follower.successor(token.generation, performance.now());
    const newer = successor();
    if (newer !== undefined) return newer;
    follower.wantReport(token.generation, performance.now());
    const seen = follower.reportSetbacks;
    this.#kick();
    await this.#until(() => successor() !== undefined || follower.reportSetbacks !== seen, options);
    this.#mustBeOpen();
    const found = successor();
    if (found !== undefined) return found;
    const { reportError } = follower;
    throw follower.reportSetbacks !== seen && reportError !== undefined ? again(reportError) : noSuccessor();
  }

  /** Waits for a newer token than the given one. Throws Unavailable when none comes in time. */
  async waitUntilUpdated(than: Token, options: WaitOptions = {}): Promise<Token> {
    this.#mustBeOpen();
    const successor = (): Token | undefined => this.#follower.successor(than.generation, performance.now());
    await this.#until(() => successor() !== undefined, options);
    this.#mustBeOpen();
    const found = successor();
    if (found === undefined) throw noSuccessor();
    return found;
  }

  /**
   * The live token at once, if there is one, then each newer one. A slow reader misses those in between. Ends when the
   * source is closed; throws the signal's reason.
   */
  async *updates({ signal }: { readonly signal?: AbortSignal | undefined } = {}): AsyncGenerator<Token, void> {
    let last: Token | undefined;
    while (!this.#closed) {
      const current = this.#live();
      if (current !== undefined && current !== last) {
        last = current;
        yield current;
      } else {
        await this.#changed.until(() => this.#closed || this.#isNews(last), Infinity, signal);
      }
    }
  }

  /**
   * Ends the background work, and the client if it is the source's own. Reads, waits and calls throw Closed from now on.
   * May be called again.
   */
  async close(): Promise<void> {
    this.#closed = true;
    this.#token = undefined;
    this.#step.abort();
    this.#changed.notify();
    await this.#loop;
    if (this.#owns) await this.#client.close();
  }

  /** As `close`: for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Masked. */
  toString(): string {
    const token = this.#closed ? "closed" : String(this.#follower.token ?? "none");
    return `TokenSource(client=${this.#name}, target=${this.#client.target}, token=${token})`;
  }

  /** Masked. */
  toJSON(): Record<string, unknown> {
    const token = this.#closed ? null : (this.#follower.token ?? null);
    return { client: this.#name, target: this.#client.target, closed: this.#closed, token };
  }

  /** Masked: what `console.log` and `util.inspect` show. */
  [inspect.custom](): string {
    return this.toString();
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      this.#step = new AbortController();
      const { signal } = this.#step;
      const step = this.#follower.next(performance.now());
      this.#isIdle = step.do === "watch" || step.do === "pause";
      switch (step.do) {
        case "report":
          await this.#report(step.generation, signal);
          break;
        case "fetch":
          await this.#fetch(signal);
          break;
        case "watch":
          await this.#watch(step.limit, signal);
          break;
        case "pause":
          await pause(step.delay, signal);
          break;
      }
    }
  }

  async #report(generation: bigint, signal: AbortSignal): Promise<void> {
    try {
      await this.#client.reject(this.#name, { ...this.#key, generation, timeoutMs: this.#timeoutMs, signal });
      this.#update(() => {
        this.#follower.reported(generation, performance.now());
      });
    } catch (error) {
      this.#update(() => {
        this.#follower.reportFailed(known(error), performance.now());
      });
    }
  }

  async #fetch(signal: AbortSignal): Promise<void> {
    try {
      const token = await this.#client.get(this.#name, { ...this.#key, timeoutMs: this.#timeoutMs, signal });
      this.#update(() => this.#follower.fetched(token, performance.now()));
    } catch (error) {
      this.#update(() => {
        this.#follower.fetchFailed(known(error), performance.now());
      });
    }
  }

  async #watch(limit: number, signal: AbortSignal): Promise<void> {
    const startedAt = performance.now();
    let failure: MintonceError | undefined;
    try {
      for await (const token of this.#client.watch(this.#name, { ...this.#key, timeoutMs: limit, signal })) {
        this.#update(() => this.#follower.offer(token, performance.now()));
      }
    } catch (error) {
      failure = signal.aborted ? undefined : known(error);
    }
    this.#update(() => {
      this.#follower.watchEnded(failure, startedAt, limit, performance.now());
    });
  }

  /** Changes the follower, and lets those who wait look. */
  #update(change: () => unknown): void {
    if (this.#closed) return;
    change();
    this.#token = this.#follower.token;
    this.#changed.notify();
  }

  /** Makes the loop look again, unless it is in the middle of a call that brings news anyway. */
  #kick(): void {
    if (this.#isIdle) this.#step.abort();
  }

  async #until(done: () => boolean, { timeoutMs = this.#timeoutMs, signal }: WaitOptions): Promise<void> {
    must.beSpan("timeoutMs", timeoutMs);
    await this.#changed.until(() => this.#closed || done(), timeoutMs, signal);
  }

  #live(): Token | undefined {
    return this.#closed ? undefined : this.#follower.live(performance.now());
  }

  #isNews(last: Token | undefined): boolean {
    const current = this.#live();
    return current !== undefined && current !== last;
  }

  #mustBeOpen(): void {
    if (this.#closed) throw closed("source");
  }
}

/** GetToken, again and again while the server is not there, for so long at most. */
async function firstToken(
  client: Client,
  name: string,
  options: KeyOptions & WaitOptions,
  waitForServerMs: number,
): Promise<Token> {
  const until = performance.now() + waitForServerMs;
  for (let failures = 1; ; failures += 1) {
    try {
      return await client.get(name, options);
    } catch (error) {
      const left = until - performance.now();
      if (!isAbsence(error) || left <= 0) throw error;
      await new Waiters().until(() => false, Math.min(backoff(failures, error), left), options.signal);
    }
  }
}

function isAbsence(error: unknown): error is MintonceError {
  return error instanceof Unreachable || (error instanceof MintonceError && error.reason === "DRAINING");
}

/** A fault of this package must not end the loop: the source would go stale in silence. */
function known(error: unknown): MintonceError {
  if (error instanceof MintonceError) return error;
  return new MintonceError("the client failed in an unexpected way", {
    reason: "INTERNAL",
    remedy: "This is a fault of @mintonce/client: please report it with the stack of the cause.",
    code: "INTERNAL",
    cause: error,
  });
}
