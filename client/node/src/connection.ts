/** The channel of a client, replaced when the files that its credentials are made of change. */
import { type ChannelCredentials, type ChannelOptions, Client, credentials, Metadata } from "@grpc/grpc-js";
import { watchedBearer } from "./bearer.ts";
import { Refused } from "./errors.ts";
import type { Watched } from "./files.ts";
import { isLocal } from "./local.ts";
import type { Way } from "./options.ts";
import { watchedTls } from "./tls.ts";
import type { Link } from "./unreachable.ts";
import { VERSION } from "./version.ts";

// Retries cover a replica that goes away: a second is enough for another one to answer. RotateToken is not among them,
// since each one mints. CANCELLED is what a server says that is flooded and drops calls before it has looked at them;
// calls that the application cancels are not repeated.
// No "timeout" in here, ever: a call's deadline is the caller's.
// All addresses of the name are used in turn: replicas share the load, and a call whose replica has gone has others.
const SERVICE_CONFIG = {
  loadBalancingConfig: [{ round_robin: {} }],
  methodConfig: [
    {
      name: [{ service: "mintonce.v1.TokenService" }, { service: "mintonce.v1.AdminService", method: "ListTokens" }],
      retryPolicy: {
        maxAttempts: 4,
        initialBackoff: "0.1s",
        maxBackoff: "1s",
        backoffMultiplier: 2,
        retryableStatusCodes: ["UNAVAILABLE", "CANCELLED"],
      },
    },
  ],
  // A client all of whose calls fail stops repeating them.
  retryThrottling: { maxTokens: 10, tokenRatio: 0.5 },
};

const OPTIONS: ChannelOptions = {
  "grpc.service_config": JSON.stringify(SERVICE_CONFIG),
  // The policy is ours: no TXT record of a name server changes it.
  "grpc.service_config_disable_resolution": 1,
  // A watch may be silent for a day: pings keep it from being forgotten on the way, and show when it is dead.
  // More often than the clients of other languages, which also ask the kernel whether what they sent was acknowledged
  // (TCP_USER_TIMEOUT): Node.js has no such option. After so long without traffic, a call begins with a ping.
  "grpc.keepalive_time_ms": 20_000,
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.keepalive_permit_without_calls": 0,
  // gRPC's own reconnect back-off would grow to two minutes; a restarted server should be found sooner.
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 5_000,
  "grpc.primary_user_agent": `mintonce-node/${VERSION}`,
  // A channel's connections are its own, and end with it.
  "grpc.use_local_subchannel_pool": 1,
  "grpc.enable_channelz": 0,
};

/** A channel. It closes when it has been replaced and the last call on it has ended. */
export class Line {
  readonly grpc: Client;
  #users = 0;
  #retired = false;

  constructor(target: string, channelCredentials: ChannelCredentials, options: ChannelOptions) {
    this.grpc = new Client(target, channelCredentials, options);
  }

  hold(): void {
    this.#users += 1;
  }

  release(): void {
    this.#users -= 1;
    this.#closeIfUnused();
  }

  retire(): void {
    this.#retired = true;
    this.#closeIfUnused();
  }

  #closeIfUnused(): void {
    if (this.#retired && this.#users === 0) this.grpc.close();
  }
}

/** Gives each call its line and its metadata. */
export class Connection {
  readonly link: Link;
  readonly #way: Way;
  readonly #bearer: Watched<string> | undefined;
  readonly #tls: Watched<ChannelCredentials> | undefined;
  #credentials: ChannelCredentials;
  #line: Line;

  constructor(way: Way) {
    this.#way = way;
    this.link = {
      target: way.target,
      tls: way.tls !== undefined,
      serverName: way.tls?.serverName,
      showsCertificate: way.tls?.certificateFile !== undefined,
      mayUseProxy: way.tls !== undefined || !isLocal(way.target),
    };
    this.#bearer = way.bearer === undefined ? undefined : watchedBearer(way.bearer, way.logger);
    this.#tls = way.tls === undefined ? undefined : watchedTls(way.tls, way.logger);
    this.#credentials = this.#tls?.current() ?? credentials.createInsecure();
    this.#line = this.#dial();
  }

  /** The line for a new call, which the caller releases. Looks at the files, at most once a second. */
  acquire(): Line {
    const current = this.#tls?.current() ?? this.#credentials;
    if (current !== this.#credentials) {
      this.#credentials = current;
      const old = this.#line;
      this.#line = this.#dial();
      old.retire();
    }
    this.#line.hold();
    return this.#line;
  }

  /** What goes with a call. */
  metadata(): Metadata {
    const metadata = new Metadata();
    if (this.#bearer !== undefined) metadata.set("authorization", this.#bearer.current());
    return metadata;
  }

  /** Calls that are under way end first. */
  close(): void {
    this.#line.retire();
  }

  #dial(): Line {
    const options = { ...OPTIONS };
    const name = this.#way.tls?.serverName;
    if (name) {
      options["grpc.ssl_target_name_override"] = name;
      options["grpc.default_authority"] = name;
    }
    // http_proxy would lead even loopback, and a bearer with it, to another host.
    if (!this.link.mayUseProxy) options["grpc.enable_http_proxy"] = 0;
    try {
      return new Line(this.link.target, this.#credentials, options);
    } catch {
      throw new Refused("the target is no name that gRPC understands", {
        reason: "INVALID_REQUEST",
        remedy: "Write it as host:port or unix:PATH. Set it with MINTONCE_TARGET or the option target.",
      });
    }
  }
}
