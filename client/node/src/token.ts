/** Tokens as callers hold them. */
import { createHash } from "node:crypto";
import { inspect } from "node:util";
import { visible } from "./text.ts";

/** Where the server had a token from. */
export type Origin = "unknown" | "memory" | "store" | "mint";

/** The fields of a token. Applications make tokens only in their tests. */
export interface TokenFields {
  readonly accessToken: string;
  readonly tokenType?: string;
  readonly scopes?: readonly string[];
  readonly generation: bigint;
  readonly expiresAt: number;
  readonly refreshAt: number;
  readonly expireTime?: Date;
  readonly origin?: Origin;
  readonly degraded?: boolean;
}

/** What stands for the text wherever a token is shown. */
const MASK = "[redacted]";
/** Characters of a scope. */
const MAX_SHOWN = 200;

/**
 * A live access token. Immutable.
 *
 * Only {@link accessToken} and {@link header} hold the text: `String(token)`, `JSON.stringify(token)`, `console.log(token)`
 * and template literals show a mask.
 *
 * `expiresAt` and `refreshAt` are on this process's monotonic clock, that of `performance.now()`, counted from before
 * the call was sent. They never come late, whatever the wall clock of this host says.
 */
export class Token {
  readonly #accessToken: string;
  readonly #header: string;
  /** As the issuer named it; normally "Bearer". */
  readonly tokenType: string;
  /** What the issuer granted, sorted. */
  readonly scopes: readonly string[];
  /** Rises with every new token of the key, across the fleet. */
  readonly generation: bigint;
  /** When the token ends: milliseconds on the clock of `performance.now()`. */
  readonly expiresAt: number;
  /** When the server mints a successor: milliseconds on the clock of `performance.now()`. */
  readonly refreshAt: number;
  /** The expiry by the clock of the server's store. For people, not for arithmetic. */
  readonly expireTime: Date;
  /** Where the server had it from. */
  readonly origin: Origin;
  /** Live, but less is left than is comfortable: the issuer or the store is in trouble. */
  readonly degraded: boolean;

  constructor(fields: TokenFields) {
    this.#accessToken = fields.accessToken;
    this.tokenType = fields.tokenType ?? "Bearer";
    this.scopes = Object.freeze([...(fields.scopes ?? [])]);
    this.generation = fields.generation;
    this.expiresAt = fields.expiresAt;
    this.refreshAt = fields.refreshAt;
    this.expireTime = fields.expireTime ?? new Date(0);
    this.origin = fields.origin ?? "unknown";
    this.degraded = fields.degraded ?? false;
    // Resource servers compare the scheme without regard to case (RFC 9110, section 11.1), but not all know that.
    const scheme = ["", "bearer"].includes(this.tokenType.toLowerCase()) ? "Bearer" : this.tokenType;
    this.#header = `${scheme} ${this.#accessToken}`;
    Object.freeze(this);
  }

  /** The secret text (RFC 6750). */
  get accessToken(): string {
    return this.#accessToken;
  }

  /** The value of an `Authorization` header: "Bearer …". */
  get header(): string {
    return this.#header;
  }

  /** The remaining lifetime in milliseconds. Negative after the expiry. */
  get expiresInMs(): number {
    return this.expiresAt - performance.now();
  }

  /** Milliseconds until the server mints a successor. Negative when it is due. */
  get refreshInMs(): number {
    return this.refreshAt - performance.now();
  }

  /** Whether the token may be used now. */
  get isLive(): boolean {
    return performance.now() < this.expiresAt;
  }

  /** The SHA-256 of the text: 32 bytes. Tells tokens apart without showing them. */
  fingerprint(): Uint8Array {
    return createHash("sha256").update(this.#accessToken).digest();
  }

  /** Whether the other token has the same text and the same fields. */
  equals(other: Token): boolean {
    return (
      this.#accessToken === other.#accessToken &&
      this.tokenType === other.tokenType &&
      this.scopes.length === other.scopes.length &&
      this.scopes.every((scope, index) => scope === other.scopes[index]) &&
      this.generation === other.generation &&
      this.expiresAt === other.expiresAt &&
      this.refreshAt === other.refreshAt &&
      this.expireTime.getTime() === other.expireTime.getTime() &&
      this.origin === other.origin &&
      this.degraded === other.degraded
    );
  }

  /** Masked. What a terminal would obey is escaped. */
  toString(): string {
    const scopes = this.scopes.map((scope) => visible(scope, MAX_SHOWN)).join(" ");
    return (
      `Token(accessToken=${MASK}, generation=${String(this.generation)}, ` +
      `expiresIn=${(this.expiresInMs / 1000).toFixed(0)}s, scopes=[${scopes}], ` +
      `origin=${this.origin}, degraded=${String(this.degraded)})`
    );
  }

  /** Masked. The generation is a string, since JSON has no 64-bit integers. */
  toJSON(): Record<string, unknown> {
    return {
      accessToken: MASK,
      tokenType: this.tokenType,
      scopes: this.scopes,
      generation: String(this.generation),
      expiresInMs: Math.round(this.expiresInMs),
      expireTime: Number.isNaN(this.expireTime.getTime()) ? null : this.expireTime.toISOString(),
      origin: this.origin,
      degraded: this.degraded,
    };
  }

  /** Masked: what `console.log` and `util.inspect` show. */
  [inspect.custom](): string {
    return this.toString();
  }
}
