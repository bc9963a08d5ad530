/** Between the messages of mintonce.v1 and our values. */
import { create } from "@bufbuild/protobuf";
import { type Duration, DurationSchema, type Timestamp } from "@bufbuild/protobuf/wkt";
import type { ListTokensResponse, TokenSummary as SummaryMessage } from "./gen/mintonce/v1/admin_pb.ts";
import { type Token as TokenMessage, type TokenKey, TokenKeySchema } from "./gen/mintonce/v1/types_pb.ts";
import { MintonceError } from "./errors.ts";
import { type Origin, Token } from "./token.ts";
import { wellFormed } from "./validate.ts";

/** What a token is for, beside the client. */
export interface KeyOptions {
  /** The API that the token is for. Default: the issuer's. */
  readonly audience?: string | undefined;
  /** Of RFC 6749, section 3.3: a list, or one string with spaces between them. Their order does not matter. */
  readonly scopes?: string | readonly string[] | undefined;
}

/** A live token without its text. */
export interface TokenSummary {
  readonly client: string;
  readonly audience: string;
  /** The requested ones, sorted. */
  readonly scopes: readonly string[];
  readonly generation: bigint;
  /** Milliseconds, as of the answer. */
  readonly expiresInMs: number;
  /** Milliseconds, as of the answer. */
  readonly refreshInMs: number;
  /** The name of the key in the server's store and logs. */
  readonly keyHash: string;
}

/** A page of a list of live tokens, sorted by client, audience and scopes. */
export interface TokenPage {
  readonly tokens: readonly TokenSummary[];
  /** Give it to `list` for the next page; "" on the last one. */
  readonly nextPageToken: string;
  /** A part of the store could not be reached, and its tokens are missing. */
  readonly incomplete: boolean;
}

/** The generations before (0: none) and after a rotation. */
export interface Rotation {
  readonly previousGeneration: bigint;
  readonly generation: bigint;
}

/** By the number on the wire. New values may be added there. */
const ORIGINS: readonly Origin[] = ["unknown", "memory", "store", "mint"];

/** Visible ASCII, of which the tokens of RFC 6750, section 2.1, are made. */
const TEXT = /^[!-~]+$/;
/** A token of RFC 9110, section 5.6.2. An empty one counts as Bearer. */
const TYPE = /^[!#$%&'*+.^_`|~0-9A-Za-z-]*$/;

/** Throws Refused for values that no message can hold. */
export function keyOf(client: string, { audience = "", scopes = [] }: KeyOptions): TokenKey {
  const list = typeof scopes === "string" ? scopes.split(/\s+/).filter((scope) => scope !== "") : scopes;
  return create(TokenKeySchema, {
    client: wellFormed("client", client),
    audience: wellFormed("audience", audience),
    scopes: list.map((scope) => wellFormed("scope", scope)),
  });
}

/**
 * `anchor` is on the monotonic clock: when the call was sent, or for a pushed successor when it came. Throws
 * MintonceError for a token that no `Authorization` header can hold.
 */
export function tokenOf(message: TokenMessage | undefined, anchor: number): Token {
  if (!TEXT.test(message?.accessToken ?? "") || !TYPE.test(message?.tokenType ?? "")) {
    throw new MintonceError("the server sent a token that no header can hold", {
      reason: "INTERNAL",
      remedy: "Is this target a mintonced, of a version that fits this client?",
    });
  }
  return new Token({
    accessToken: message?.accessToken ?? "",
    tokenType: message?.tokenType ?? "",
    scopes: message?.scopes ?? [],
    generation: message?.generation ?? 0n,
    expiresAt: anchor + millisecondsOf(message?.expiresIn),
    refreshAt: anchor + millisecondsOf(message?.refreshIn),
    expireTime: dateOf(message?.expireTime),
    origin: ORIGINS[message?.origin ?? 0] ?? "unknown",
    degraded: message?.degraded ?? false,
  });
}

export function durationOf(ms: number): Duration {
  const seconds = Math.trunc(ms / 1000);
  return create(DurationSchema, { seconds: BigInt(seconds), nanos: Math.round((ms - seconds * 1000) * 1e6) });
}

export function pageOf(response: ListTokensResponse): TokenPage {
  return {
    tokens: response.tokens.map(summaryOf),
    nextPageToken: response.nextPageToken,
    incomplete: response.incomplete,
  };
}

function summaryOf(message: SummaryMessage): TokenSummary {
  return {
    client: message.key?.client ?? "",
    audience: message.key?.audience ?? "",
    scopes: message.key?.scopes ?? [],
    generation: message.generation,
    expiresInMs: millisecondsOf(message.expiresIn),
    refreshInMs: millisecondsOf(message.refreshIn),
    keyHash: message.keyHash,
  };
}

function millisecondsOf(duration: Duration | undefined): number {
  return duration === undefined ? 0 : Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}

/** An Invalid Date for a time that no Date can hold: it is for people only. */
function dateOf(timestamp: Timestamp | undefined): Date {
  return new Date(timestamp === undefined ? 0 : Number(timestamp.seconds) * 1000 + Math.trunc(timestamp.nanos / 1e6));
}
