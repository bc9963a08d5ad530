/** What a caller can get as an error. Two questions matter: may a retry help, and what can a person do? */

/** The name of a gRPC status code, such as "UNAVAILABLE". */
export type Code =
  | "OK"
  | "CANCELLED"
  | "UNKNOWN"
  | "INVALID_ARGUMENT"
  | "DEADLINE_EXCEEDED"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "PERMISSION_DENIED"
  | "RESOURCE_EXHAUSTED"
  | "FAILED_PRECONDITION"
  | "ABORTED"
  | "OUT_OF_RANGE"
  | "UNIMPLEMENTED"
  | "INTERNAL"
  | "UNAVAILABLE"
  | "DATA_LOSS"
  | "UNAUTHENTICATED";

/** What an error says beside its message. */
export interface ErrorDetails {
  readonly reason: string;
  readonly remedy?: string;
  readonly retryAfterMs?: number | undefined;
  readonly code?: Code;
  readonly issuerError?: string;
  readonly requestId?: string;
  readonly cause?: unknown;
}

/** Two copies of this package in one program know each other's errors by it. */
const BRAND = Symbol.for("@mintonce/client.error");

/**
 * The root of all errors of this package, except for programming errors (TypeError, RangeError) and for the reason of an
 * AbortSignal, which is thrown as it is. Neither the message nor the remedy ever holds a token.
 */
export class MintonceError extends Error {
  static {
    this.prototype.name = "MintonceError";
    Object.defineProperty(this.prototype, BRAND, { value: true });
  }

  /**
   * Why: as in ErrorReason of the API without its prefix ("UNKNOWN_CLIENT"), or one of the client's own: UNREACHABLE,
   * DEADLINE_EXCEEDED, TOKEN_EXPIRED, CLOSED, CREDENTIALS (they cannot be used, or must not be sent to that target), or
   * the name of a gRPC status without a reason.
   */
  readonly reason: string;
  /** What a person can do about it: a sentence, or "". */
  readonly remedy: string;
  /** Milliseconds after which a later try may succeed; undefined if unknown. */
  readonly retryAfterMs: number | undefined;
  /** The gRPC status by its name. */
  readonly code: Code;
  /** The issuer's own code (RFC 6749, section 5.2); "" if it gave none. */
  readonly issuerError: string;
  /** Finds the call in the server's log; "" if the server gave none. */
  readonly requestId: string;

  constructor(message: string, details: ErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.reason = details.reason;
    this.remedy = details.remedy ?? "";
    this.retryAfterMs = details.retryAfterMs;
    this.code = details.code ?? "UNKNOWN";
    this.issuerError = details.issuerError ?? "";
    this.requestId = details.requestId ?? "";
  }

  /** Whether a value is an error of this package, be it of another copy of it: `instanceof` would not know those. */
  static is(value: unknown): value is MintonceError {
    return typeof value === "object" && value !== null && BRAND in value;
  }

  /** With the message, which `JSON.stringify` leaves out of errors. */
  toJSON(): Record<string, unknown> {
    const { name, message, reason, remedy, retryAfterMs, code, issuerError, requestId } = this;
    return { name, message, reason, remedy, retryAfterMs, code, issuerError, requestId };
  }
}

/** Refused. A retry fails, too, until the request, the policy or the client's registration is corrected. */
export class Refused extends MintonceError {
  static {
    this.prototype.name = "Refused";
  }
}

/** There is no token now; a later try may succeed. */
export class Unavailable extends MintonceError {
  static {
    this.prototype.name = "Unavailable";
  }
}

/** No server answered at the target. */
export class Unreachable extends Unavailable {
  static {
    this.prototype.name = "Unreachable";
  }
}

/** A source's token has expired or was rejected, and there is no successor. `cause` says why. */
export class TokenExpired extends Unavailable {
  static {
    this.prototype.name = "TokenExpired";
  }
}

/** The client or source was used after `close()`. */
export class Closed extends MintonceError {
  static {
    this.prototype.name = "Closed";
  }
}

/** The error for a use after `close()`. @internal */
export function closed(what: "client" | "source"): Closed {
  return new Closed(`the ${what} is closed`, {
    reason: "CLOSED",
    remedy: `Keep the ${what} open as long as it is used; close it last.`,
    code: "CANCELLED",
  });
}

/** The error for credentials that must not be used. @internal */
export function unusable(message: string, remedy: string): Refused {
  return new Refused(message, { reason: "CREDENTIALS", remedy });
}

/** The error for a wait that has run out. @internal */
export function noSuccessor(): Unavailable {
  return new Unavailable("no successor of the token came in time", {
    reason: "DEADLINE_EXCEEDED",
    remedy: "Allow more time, or look into the server's log.",
    code: "DEADLINE_EXCEEDED",
  });
}

/** A copy of an error for one more caller: each gets a stack of its own. @internal */
export function again(error: MintonceError): MintonceError {
  const kind = error.constructor as new (message: string, details: ErrorDetails) => MintonceError;
  return new kind(error.message, { ...details(error), cause: error.cause });
}

/** What an error says, for another one. @internal */
export function details(error: MintonceError): Omit<ErrorDetails, "cause"> {
  const { reason, remedy, retryAfterMs, code, issuerError, requestId } = error;
  return { reason, remedy, retryAfterMs, code, issuerError, requestId };
}
