/** Values of the client as the suite wants them. */
import { createHash } from "node:crypto";
import { Closed, MintonceError, Refused, type Token, TokenExpired, Unavailable, Unreachable } from "../src/index.ts";
import { remember } from "./operations.ts";

export class Unsupported extends Error {}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

export const tokenOf = (token: Token): Record<string, unknown> => ({
  generation: Number(token.generation),
  sha256: Buffer.from(token.fingerprint()).toString("hex"),
  header_sha256: sha256(token.header),
  live: token.isLive,
  remaining_ms: token.expiresInMs,
  refresh_ms: token.refreshInMs,
  degraded: token.degraded,
  origin: token.origin,
  scopes: token.scopes,
  type: token.tokenType,
});

const CLASSES = [TokenExpired, Unreachable, Unavailable, Refused, Closed];

const classOf = (error: MintonceError): string => CLASSES.find((kind) => error instanceof kind)?.name ?? "Other";

export function errorOf(error: unknown, signal?: AbortSignal): Record<string, unknown> {
  remember(error);
  const tokens = (error as { tokens?: unknown } | undefined)?.tokens;
  return { error: described(error, signal), ...(tokens === undefined ? {} : { tokens }) };
}

function described(error: unknown, signal?: AbortSignal): Record<string, unknown> {
  if (error instanceof MintonceError) {
    return {
      class: classOf(error),
      message: error.message,
      reason: error.reason,
      remedy: error.remedy,
      retry_after_ms: error.retryAfterMs ?? null,
      code: error.code,
      issuer_error: error.issuerError,
      request_id: error.requestId,
      ...(error.cause instanceof MintonceError
        ? { cause: { class: classOf(error.cause), reason: error.cause.reason } }
        : {}),
    };
  }
  // fetch and undici wrap what an interceptor or a stream threw.
  const cause = (error as Error).cause;
  if (cause instanceof MintonceError) return described(cause);
  const message = String(error);
  if (signal?.aborted === true && (error as Error).name === "AbortError") return { class: "Cancelled", message };
  if (error instanceof Unsupported) return { class: "Unsupported", message };
  if (error instanceof TypeError || error instanceof RangeError) return { class: "Usage", message };
  return { class: "Testee", message: `${message} ${(error as Error).stack ?? ""}` };
}
