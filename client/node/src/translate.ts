/** gRPC errors into ours: the one place that does it. */
import { type ServiceError, status } from "@grpc/grpc-js";
import { type Code, type ErrorDetails, MintonceError, Refused, Unavailable, Unreachable } from "./errors.ts";
import { decode, type Details } from "./status.ts";
import { visible } from "./text.ts";
import { explain, type Link } from "./unreachable.ts";

type Kind = new (message: string, details: ErrorDetails) => MintonceError;

const BY_REASON = new Map<string, Kind>([
  ...["INVALID_REQUEST", "UNKNOWN_CLIENT", "UNAUTHENTICATED", "PERMISSION_DENIED", "ISSUER_REFUSED"].map(
    (reason): [string, Kind] => [reason, Refused],
  ),
  ...[
    "ISSUER_THROTTLED",
    "ISSUER_UNAVAILABLE",
    "ISSUER_MALFORMED",
    "STORE_UNAVAILABLE",
    "ROTATION_TOO_SOON",
    "WAIT_TIMED_OUT",
    "DRAINING",
    "LIMIT_EXCEEDED",
    "AUDIT_UNAVAILABLE",
    "BUDGET_USED_UP",
  ].map((reason): [string, Kind] => [reason, Unavailable]),
  ["INTERNAL", MintonceError],
]);

/** For reasons that are newer than this client, and for answers without a reason. */
const BY_CODE: Partial<Record<Code, Kind>> = {
  UNAVAILABLE: Unavailable,
  RESOURCE_EXHAUSTED: Unavailable,
  DEADLINE_EXCEEDED: Unavailable,
  ABORTED: Unavailable,
  INVALID_ARGUMENT: Refused,
  NOT_FOUND: Refused,
  UNAUTHENTICATED: Refused,
  PERMISSION_DENIED: Refused,
  FAILED_PRECONDITION: Refused,
};

const LONGEST_TEXT = 2000;
const LONGEST_NAME = 64;
const OTHER_PEER = "Is this target a mintonced, of a version that fits this client, and not a proxy in front of it?";
const REMEDIES: Partial<Record<Code, string>> = {
  UNAUTHENTICATED:
    "Something on the way wants other credentials: see MINTONCE_CERTIFICATE_FILE, MINTONCE_BEARER_FILE and " +
    `MINTONCE_API_KEY_FILE. ${OTHER_PEER}`,
  PERMISSION_DENIED: `Something on the way refuses this caller. ${OTHER_PEER}`,
};

/**
 * What a failed call means. The gRPC error itself is left out, even as a cause: it would be printed with ours, and a
 * server's unexpected failure may quote anything.
 */
export function translate(error: ServiceError, link: Link): MintonceError {
  const details = decode(error.metadata);
  return details.reason === "" ? unsaid(error, link, details.retryAfterMs) : said(error, details);
}

/** The server gave a reason. */
function said(error: ServiceError, details: Details): MintonceError {
  const code = nameOf(error.code);
  const kind = BY_REASON.get(details.reason) ?? BY_CODE[code] ?? MintonceError;
  const text = (name: string): string => visible(details.metadata.get(name) ?? "", LONGEST_TEXT);
  return new kind(visible(error.details || details.reason, LONGEST_TEXT), {
    reason: visible(details.reason, LONGEST_NAME),
    remedy: text("remedy"),
    retryAfterMs: details.retryAfterMs,
    code,
    issuerError: text("issuer_error"),
    requestId: text("request_id"),
  });
}

/** No reason came: gRPC itself failed, or something that is no mintonced answered. */
function unsaid(error: ServiceError, link: Link, retryAfterMs: number | undefined): MintonceError {
  const code = nameOf(error.code);
  const { target } = link;
  switch (code) {
    case "UNAVAILABLE": {
      const { why, remedy } = explain(error.details, link);
      return new Unreachable(`cannot reach mintonced at ${target}: ${why}`, {
        reason: "UNREACHABLE",
        remedy,
        retryAfterMs,
        code,
      });
    }
    case "DEADLINE_EXCEEDED":
      return new Unavailable(`no answer from ${target} before the deadline`, {
        reason: code,
        remedy: "Allow more time, or look into the server's log: a mint may take up to 10 seconds.",
        retryAfterMs,
        code,
      });
    case "RESOURCE_EXHAUSTED":
      // gRPC's own limits, on either side: message sizes, metadata, concurrent streams.
      return new Unavailable(`${target} has no room for this call`, {
        reason: code,
        remedy: "Ask again later, and for less at once. If it goes on, look into the server's log and limits.",
        retryAfterMs,
        code,
      });
    default: {
      const kind = BY_CODE[code] ?? MintonceError;
      return new kind(`${target} answered ${code} without a reason`, {
        reason: code,
        remedy: REMEDIES[code] ?? OTHER_PEER,
        retryAfterMs,
        code,
      });
    }
  }
}

/** grpc-js passes on whatever number a server sends. */
function nameOf(code: status): Code {
  const names: Partial<Record<number, string>> = status;
  return (names[code] ?? "UNKNOWN") as Code;
}
