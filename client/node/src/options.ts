/** How a client connects: what was said, and for what was not, what the environment says. */
import { Refused, unusable } from "./errors.ts";
import { isLocal } from "./local.ts";
import { type Logger, processWarnings } from "./logger.ts";
import { looksSecret } from "./misplaced.ts";
import { visible } from "./text.ts";
import { must, wellFormed } from "./validate.ts";

/** TLS to the server. All files are PEM and may be replaced at any time. */
export interface Tls {
  /** Who may vouch for the server. Default: the authorities that this host trusts. */
  readonly caFile?: string | undefined;
  /** The client's certificate and what leads to its authority. Default: it shows none. */
  readonly certificateFile?: string | undefined;
  /** That certificate's key, unencrypted. Default: it is in the certificate's file. */
  readonly keyFile?: string | undefined;
  /** What the server's certificate is for. Default: the target's host name. */
  readonly serverName?: string | undefined;
}

/** How to reach the server. What is left out is as the `MINTONCE_…` variables say. */
export interface ConnectionOptions {
  /** `host:port`, `unix:PATH` or another gRPC name. Default: `MINTONCE_TARGET`, else `127.0.0.1:50051`. */
  readonly target?: string | undefined;
  /**
   * How to speak TLS; `true` for this host's authorities, `false` for a connection in clear. Default: as
   * `MINTONCE_CA_FILE`, `_CERTIFICATE_FILE`, `_KEY_FILE`, `_SERVER_NAME` and `_TLS` say, else in clear.
   */
  readonly tls?: Tls | boolean | undefined;
  /**
   * A file that holds a bearer token and nothing else: a JWT, such as a projected token of Kubernetes. `false`: none,
   * whatever the environment says. Default: `MINTONCE_BEARER_FILE`. Refused in clear, except to a Unix socket or loopback.
   */
  readonly bearerFile?: string | false | undefined;
  /** A file that holds an API key of the server and nothing else. Default: `MINTONCE_API_KEY_FILE`. */
  readonly apiKeyFile?: string | undefined;
  /** Milliseconds that a call may take, retries included. Default: 10 000. */
  readonly timeoutMs?: number | undefined;
  /** Where warnings go. Default: `process.emitWarning`. */
  readonly logger?: Logger | undefined;
}

/** The options, resolved. */
export interface Way {
  readonly target: string;
  readonly tls: Tls | undefined;
  /** The file of a bearer token or API key. */
  readonly bearer: string | undefined;
  readonly timeoutMs: number;
  readonly logger: Logger;
}

export type Environment = Readonly<Record<string, string | undefined>>;

const DEFAULT_TARGET = "127.0.0.1:50051";
/** As long as the server allows a mint to take. */
const DEFAULT_TIMEOUT_MS = 10_000;
const URL_SCHEMES = new Set(["http", "https", "grpc", "grpcs", "tcp"]);
const TLS_SCHEMES = new Set(["https", "grpcs"]);
const MAX_SHOWN = 100;
const TRUE = new Set(["1", "true", "yes", "on"]);
const FALSE = new Set(["0", "false", "no", "off"]);
const FILES = ["MINTONCE_CA_FILE", "MINTONCE_CERTIFICATE_FILE", "MINTONCE_KEY_FILE", "MINTONCE_SERVER_NAME"] as const;

/** Throws TypeError or RangeError for options that contradict each other, and Refused for what cannot be used. */
export function resolve(options: ConnectionOptions, environment: Environment = process.env): Way {
  const target = targetOf(options.target, environment);
  const tls = tlsOf(options.tls, environment);
  const bearer = bearerOf(options, environment);
  if (bearer !== undefined && tls === undefined && !isLocal(target)) {
    throw unusable(
      `a bearer would travel in clear to ${target}`,
      "Use TLS: set MINTONCE_CA_FILE (or MINTONCE_TLS=true for the authorities of this host), or the option tls. " +
        "In clear it goes only to a Unix socket or to loopback.",
    );
  }
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  must.beSpan("timeoutMs", timeoutMs);
  return { target, tls, bearer, timeoutMs, logger: options.logger ?? processWarnings };
}

function targetOf(given: string | undefined, environment: Environment): string {
  // An empty variable, or an empty argument, counts as none.
  const target = wellFormed("target", given || environment["MINTONCE_TARGET"] || DEFAULT_TARGET);
  const [, scheme = "", rest = ""] = /^([^:]*):\/\/(.*)$/s.exec(target) ?? [];
  if (!URL_SCHEMES.has(scheme.toLowerCase())) return shown(target);
  const hint = TLS_SCHEMES.has(scheme.toLowerCase()) ? " For TLS, set MINTONCE_CA_FILE or MINTONCE_TLS=true." : "";
  const host = (rest.split("/")[0] ?? "").split("@").at(-1) ?? "";
  throw new Refused(`the target has a URL's scheme: ${scheme}://`, {
    reason: "INVALID_REQUEST",
    remedy: `Write it without: ${visible(host, MAX_SHOWN)}.${hint}`,
  });
}

/** The target, if it may stand in messages. */
function shown(target: string): string {
  // What stands before an @ may be a password; only in the path of a socket it may not.
  if (!looksSecret(target) && (!target.includes("@") || target.startsWith("unix:"))) return target;
  throw new Refused("the target is no address, and is not shown: it may hold a secret", {
    reason: "INVALID_REQUEST",
    remedy: "Write it as host:port, unix:PATH or dns:///host:port, without a user, a password or a key.",
    code: "INVALID_ARGUMENT",
  });
}

function tlsOf(given: Tls | boolean | undefined, environment: Environment): Tls | undefined {
  if (given === undefined) return tlsFrom(environment);
  if (typeof given === "boolean") return given ? {} : undefined;
  if (given.keyFile !== undefined && given.certificateFile === undefined) {
    throw new TypeError("tls: keyFile needs certificateFile");
  }
  if (given.serverName !== undefined) wellFormed("serverName", given.serverName);
  return given;
}

function tlsFrom(environment: Environment): Tls | undefined {
  const [caFile, certificateFile, keyFile, serverName] = FILES.map((name) => environment[name] || undefined);
  const wanted = switchOf(environment["MINTONCE_TLS"] ?? "");
  const given = FILES.find((name) => environment[name]);
  if (wanted === false && given !== undefined) {
    throw unusable(`MINTONCE_TLS says no, but ${given} is set`, "Unset one of them.");
  }
  if (keyFile !== undefined && certificateFile === undefined) {
    throw unusable("MINTONCE_KEY_FILE is set without MINTONCE_CERTIFICATE_FILE", "Set both, or neither.");
  }
  return given !== undefined || wanted === true ? { caFile, certificateFile, keyFile, serverName } : undefined;
}

function switchOf(text: string): boolean | undefined {
  if (text === "") return undefined;
  if (TRUE.has(text.toLowerCase())) return true;
  if (FALSE.has(text.toLowerCase())) return false;
  throw unusable("MINTONCE_TLS is neither true nor false", "Set it to true, or unset it.");
}

function bearerOf(options: ConnectionOptions, environment: Environment): string | undefined {
  const { bearerFile, apiKeyFile } = options;
  if (bearerFile && apiKeyFile) throw new TypeError("give either bearerFile or apiKeyFile: a call has one identity");
  if (bearerFile || apiKeyFile) return bearerFile || apiKeyFile;
  if (bearerFile === false) return undefined;
  const token = environment["MINTONCE_BEARER_FILE"];
  const key = environment["MINTONCE_API_KEY_FILE"];
  if (token && key) {
    throw unusable(
      "MINTONCE_BEARER_FILE and MINTONCE_API_KEY_FILE are both set",
      "A call has one identity: set one of them.",
    );
  }
  return token || key || undefined;
}
