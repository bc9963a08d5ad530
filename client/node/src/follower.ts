/**
 * Decides what a source does next, without I/O, timers or promises. `source.ts` does it.
 *
 * `now` and `…At` are on the monotonic clock. Constants are in seconds; a follower is told how long a second is, so that
 * the recorded histories of conformance/follower, which are in seconds, can be replayed to the last bit.
 */
import { again, details, MintonceError, TokenExpired } from "./errors.ts";
import type { Token } from "./token.ts";

const BACKOFF_BASE = 0.5;
const BACKOFF_MAX = 30;
/** What a watch has after the refresh time to push the successor, before a fetch. */
const GRACE_MAX = 10;
/** A watch is replaced after this at the latest, so that dead connections and uneven load do not stay. */
const WATCH_MAX = 1800;
/** A watch that lasted this long was not a failure. */
const WATCH_PROVEN = 30;
/** Until the next try at a server without WatchToken: it may have been replaced. */
const WATCH_UNIMPLEMENTED = 600;
/** How much earlier than its limit a watch may end to count as ended by it. */
const LIMIT_SLACK = 0.1;
/** When a fetch brought nothing newer: ask again after this share of the remaining life. */
const PAUSE_SHARE = 0.1;
const PAUSE_MIN = 0.2;
const PAUSE_MAX = 60;
const RETRY_AFTER_MAX = 300;

/** A number in [0, 1), a new one for each call. */
export type Jitter = () => number;

/** What to do now. */
export type Step =
  /** Tell the server that a generation was refused. */
  | { readonly do: "report"; readonly generation: bigint }
  /** Call GetToken. */
  | { readonly do: "fetch" }
  /** Call WatchToken, for so long at most. */
  | { readonly do: "watch"; readonly limit: number }
  /** Do nothing for so long, unless woken. */
  | { readonly do: "pause"; readonly delay: number };

/** What a second is in the unit of the package, which is the millisecond. */
const SECOND = 1000;

/** The delay before try `failures` + 1: full jitter, on top of what the server asked for. */
export function backoff(
  failures: number,
  error: MintonceError | undefined,
  jitter: Jitter = Math.random,
  second: number = SECOND,
): number {
  const asked = Math.min(error?.retryAfterMs ?? 0, RETRY_AFTER_MAX * second);
  return asked + jitter() * Math.min(BACKOFF_MAX * second, BACKOFF_BASE * second * 2 ** failures);
}

/** Holds the newest token and knows what to do for its successor. */
export class Follower {
  /** The newest one; undefined once it is known to be rejected. */
  token: Token | undefined;
  /** Why the last call failed; undefined since the last success. */
  lastError: MintonceError | undefined;
  /** The number of failed fetches. A caller that waits for a token gives up when it rises. */
  setbacks = 0;
  /** The number of failed reports, and of failed fetches after one; and the last such error. */
  reportSetbacks = 0;
  reportError: MintonceError | undefined;

  fetchAt: number;
  fetchFailures = 0;
  watchAt: number;
  watchFailures = 0;
  wantedReport = 0n;
  rejected = 0n;
  blockedUntil = 0;

  readonly #jitter: Jitter;
  readonly #second: number;

  constructor(token: Token, now: number, jitter: Jitter = Math.random, second: number = SECOND) {
    this.#jitter = jitter;
    this.#second = second;
    this.token = token;
    this.fetchAt = this.#due(token, now);
    this.watchAt = now;
  }

  next(now: number): Step {
    if (this.wantedReport > this.rejected) return { do: "report", generation: this.wantedReport };
    if (now >= this.fetchAt) return { do: "fetch" };
    if (now >= this.watchAt) {
      return {
        do: "watch",
        limit: Math.min(this.fetchAt - now, WATCH_MAX * this.#second * (0.5 + this.#jitter() / 2)),
      };
    }
    return { do: "pause", delay: Math.min(this.fetchAt, this.watchAt) - now };
  }

  /** The token, if it may be used. */
  live(now: number): Token | undefined {
    return this.token !== undefined && now < this.token.expiresAt ? this.token : undefined;
  }

  /** The token, if it may be used and is newer than the generation. */
  successor(generation: bigint, now: number): Token | undefined {
    const token = this.live(now);
    return token !== undefined && token.generation > generation ? token : undefined;
  }

  /** A token came. True: it is the newest now. */
  offer(token: Token, now: number): boolean {
    if (!this.#accepts(token, now)) return false;
    this.token = token;
    this.lastError = undefined;
    this.blockedUntil = 0;
    this.fetchAt = this.#due(token, now);
    return true;
  }

  /** GetToken answered. As `offer`; when it brought nothing newer, the next one waits. */
  fetched(token: Token, now: number): boolean {
    this.fetchFailures = 0;
    this.lastError = undefined;
    const accepted = this.offer(token, now);
    if (!accepted) this.fetchAt = now + this.#pause(now);
    return accepted;
  }

  fetchFailed(error: MintonceError, now: number): void {
    this.lastError = error;
    this.setbacks += 1;
    if (this.token === undefined) {
      this.reportSetbacks += 1;
      this.reportError = error;
    }
    this.fetchFailures += 1;
    this.fetchAt = now + this.#backoff(this.fetchFailures, error);
  }

  /** A watch is over: at its limit, by an error, or (undefined) because it was cancelled or the server ended it. */
  watchEnded(error: MintonceError | undefined, startedAt: number, limit: number, now: number): void {
    const atLimit = now >= startedAt + limit - LIMIT_SLACK * this.#second;
    if (error === undefined) {
      this.watchAt = now + this.#backoff(1);
    } else if (atLimit && error.code === "DEADLINE_EXCEEDED") {
      this.watchFailures = 0;
      this.watchAt = now;
    } else if (error.code === "UNIMPLEMENTED") {
      this.watchAt = now + WATCH_UNIMPLEMENTED * this.#second;
    } else {
      this.lastError = error;
      this.watchFailures = now - startedAt >= WATCH_PROVEN * this.#second ? 1 : this.watchFailures + 1;
      this.watchAt = now + this.#backoff(this.watchFailures, error);
    }
  }

  /** An API refused the token of this generation. Throws the last error while the next report must wait. */
  wantReport(generation: bigint, now: number): void {
    if (this.reportError !== undefined && (now < this.blockedUntil || this.#failing(now)))
      throw again(this.reportError);
    if (generation > this.rejected && generation > this.wantedReport) this.wantedReport = generation;
  }

  /**
   * The server has accepted the report of this generation and serves it no more. It mints at the next fetch. A higher one
   * that was refused meanwhile is reported next.
   */
  reported(generation: bigint, now: number): void {
    if (generation > this.rejected) this.rejected = generation;
    if (this.token !== undefined && this.token.generation <= this.rejected) {
      this.token = undefined;
      this.fetchFailures = 0;
      this.fetchAt = now;
    }
  }

  /** The token stays in use: the server may have good reason, such as too many rotations. */
  reportFailed(error: MintonceError, now: number): void {
    this.lastError = error;
    this.reportError = error;
    this.reportSetbacks += 1;
    this.wantedReport = 0n;
    this.blockedUntil = now + this.#backoff(1, error);
  }

  /** A caller waits for a live token. Throws TokenExpired while the next fetch must wait. */
  hurry(now: number): void {
    if (this.#failing(now)) throw this.expired();
    if (this.fetchFailures === 0 && this.token !== undefined) this.fetchAt = Math.min(this.fetchAt, now);
  }

  /** The error when no token is live. Its cause is the last error. */
  expired(): TokenExpired {
    const last = this.lastError;
    return new TokenExpired(
      `the token is over and there is no successor: ${last === undefined ? "it has not come yet" : last.message}`,
      {
        ...(last === undefined ? { code: "UNAVAILABLE" } : details(last)),
        reason: "TOKEN_EXPIRED",
        remedy: last?.remedy || "Try again in a moment: a successor is being asked for.",
        cause: last,
      },
    );
  }

  #accepts(token: Token, now: number): boolean {
    if (token.generation <= this.rejected || now >= token.expiresAt) return false;
    // A lower generation counts only when nothing else lives: the store has lost its history then.
    const live = this.live(now);
    return live === undefined || token.generation > live.generation;
  }

  #failing(now: number): boolean {
    return this.live(now) === undefined && this.fetchFailures > 0 && now < this.fetchAt;
  }

  /** When to fetch if no watch has pushed the successor: a little after the refresh time, spread. */
  #due(token: Token, now: number): number {
    const refreshAt = Math.max(token.refreshAt, now);
    const grace = Math.min(GRACE_MAX * this.#second, Math.max(0, token.expiresAt - refreshAt) / 2);
    return refreshAt + grace * (0.5 + this.#jitter() / 2);
  }

  #pause(now: number): number {
    const token = this.live(now);
    const remaining = token === undefined ? 0 : token.expiresAt - now;
    return Math.min(PAUSE_MAX * this.#second, Math.max(PAUSE_MIN * this.#second, PAUSE_SHARE * remaining));
  }

  #backoff(failures: number, error?: MintonceError): number {
    return backoff(failures, error, this.#jitter, this.#second);
  }
}
