/** A peer for the tests: a real gRPC server that says what a test tells it to, and counts what it was asked. */
import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { DurationSchema, timestampFromMs } from "@bufbuild/protobuf/wkt";
import grpc from "@grpc/grpc-js";
import { createHash } from "node:crypto";
import { AdminService } from "../../src/gen/mintonce/v1/admin_pb.ts";
import { type RejectTokenRequest, TokenService } from "../../src/gen/mintonce/v1/tokens_pb.ts";
import { Origin, type Token as TokenMessage, TokenSchema } from "../../src/gen/mintonce/v1/types_pb.ts";

export type MethodName = "GetToken" | "WatchToken" | "RejectToken" | "ListTokens" | "RotateToken";

/** What a call came with. */
export interface Seen {
  readonly method: MethodName;
  readonly metadata: grpc.Metadata;
  readonly commonName: string | undefined;
}

/** How a method fails. */
export interface Failure {
  readonly code: grpc.status;
  readonly text?: string;
  readonly reason?: string;
  readonly domain?: string;
  readonly retryAfterMs?: number;
  /** Of the ErrorInfo. */
  readonly info?: Readonly<Record<string, string>>;
  /** `grpc-status-details-bin` as it is. */
  readonly raw?: Uint8Array;
  readonly pushback?: string;
  /** So often; then it works again. */
  readonly times?: number;
}

type Call = grpc.ServerUnaryCall<unknown, unknown> | grpc.ServerWritableStream<unknown, unknown>;

export const secret = (generation: bigint): string => `secret-${String(generation)}`;

/** Serves one token, `publish`ed by the test; RejectToken drops it, and GetToken then publishes the next. */
export class ScriptedServer implements AsyncDisposable {
  readonly calls: Record<MethodName, number> = {
    GetToken: 0,
    WatchToken: 0,
    RejectToken: 0,
    ListTokens: 0,
    RotateToken: 0,
  };
  readonly seen: Seen[] = [];
  readonly requests: unknown[] = [];
  /** The number of watches that their callers have cancelled. */
  cancelled = 0;
  lifetimeMs = 3_600_000;
  refreshMs: number | undefined;
  mints = true;
  pages = 1;
  delayMs = 0;
  /** Changes each token before it is sent. */
  alter: (token: TokenMessage) => void = () => undefined;

  readonly #address: string;
  readonly #credentials: grpc.ServerCredentials;
  #server: grpc.Server | undefined;
  #target = "";
  #generation = 100n;
  #token: TokenMessage | undefined;
  readonly #failures = new Map<MethodName, Failure>();
  readonly #gates = new Map<MethodName, Promise<unknown>>();
  readonly #watchers = new Set<grpc.ServerWritableStream<unknown, unknown>>();
  readonly #waiting = new Set<() => void>();

  private constructor(address: string, credentials: grpc.ServerCredentials) {
    this.#address = address;
    this.#credentials = credentials;
    this.publish();
  }

  static async start(
    address = "127.0.0.1:0",
    credentials = grpc.ServerCredentials.createInsecure(),
  ): Promise<ScriptedServer> {
    const server = new ScriptedServer(address, credentials);
    await server.listen();
    return server;
  }

  /** host:port, or unix:PATH. */
  get target(): string {
    return this.#target;
  }

  get port(): number {
    return Number(this.#target.split(":").at(-1));
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  /** Again at the same address, after a stop. */
  async listen(): Promise<void> {
    const server = new grpc.Server({ "grpc.enable_channelz": 0 });
    server.addService(definitionOf(TokenService), {
      getToken: this.#unary("GetToken", () => ({ token: this.#current() })),
      watchToken: (call: grpc.ServerWritableStream<unknown, unknown>) => {
        void this.#watch(call);
      },
      rejectToken: this.#unary("RejectToken", (request) => ({
        wasCurrent: this.#reject(request as RejectTokenRequest),
      })),
    });
    server.addService(definitionOf(AdminService), {
      listTokens: this.#unary("ListTokens", (request) => this.#list(request as { pageToken: string })),
      rotateToken: this.#unary("RotateToken", () => ({
        previousGeneration: this.#generation,
        generation: this.publish(),
      })),
    });
    const bound = await new Promise<number>((resolve, reject) => {
      server.bindAsync(this.#target || this.#address, this.#credentials, (error, port) => {
        if (error === null) resolve(port);
        else reject(error);
      });
    });
    this.#target ||= this.#address.endsWith(":0") ? `127.0.0.1:${String(bound)}` : this.#address;
    this.#server = server;
  }

  /** Hangs up on everybody. */
  stop(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
    this.#watchers.clear();
  }

  /** A new token, sent at once to all who watch. */
  publish(generation = this.#generation + 1n, fields: Partial<TokenMessage> = {}): bigint {
    this.#generation = generation;
    this.#token = create(TokenSchema, {
      accessToken: secret(generation),
      tokenType: "Bearer",
      generation,
      origin: Origin.MEMORY,
      scopes: ["read", "write"],
      ...fields,
    });
    for (const watcher of this.#watchers) watcher.write({ token: this.#current() });
    return generation;
  }

  fail(method: MethodName, failure: Failure): void {
    this.#failures.set(method, failure);
  }

  mend(method: MethodName): void {
    this.#failures.delete(method);
  }

  /** Ends all watches so. */
  endWatches(failure: Failure): void {
    for (const watcher of this.#watchers) watcher.emit("error", errorOf(failure));
    this.#watchers.clear();
  }

  /** The method answers only when the returned function is called. */
  hold(method: MethodName): () => void {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#gates.set(method, promise);
    return () => {
      this.#gates.delete(method);
      resolve(undefined);
    };
  }

  /** Until the predicate holds. It is looked at whenever a call comes or a watch ends. */
  async until(predicate: () => boolean, what = "the server sees it", timeoutMs = 10_000): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => {
      reject(new Error(`not in time: ${what}; calls: ${JSON.stringify(this.calls)}`));
    }, timeoutMs);
    const look = (): void => {
      if (predicate()) resolve(undefined);
    };
    this.#waiting.add(look);
    look();
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(look);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    return Promise.resolve();
  }

  #unary(method: MethodName, answer: (request: unknown) => unknown): grpc.handleUnaryCall<unknown, unknown> {
    return (call, callback) => {
      void (async () => {
        const failure = await this.#called(method, call);
        if (failure !== undefined) callback(errorOf(failure));
        else callback(null, answer(call.request));
      })();
    };
  }

  async #watch(call: grpc.ServerWritableStream<unknown, unknown>): Promise<void> {
    call.on("cancelled", () => {
      this.cancelled += 1;
      this.#watchers.delete(call);
      this.#notify();
    });
    const failure = await this.#called("WatchToken", call);
    if (failure !== undefined) {
      call.emit("error", errorOf(failure));
      return;
    }
    if (this.#token !== undefined) call.write({ token: this.#current() });
    if (!call.cancelled) this.#watchers.add(call);
    this.#notify();
  }

  async #called(method: MethodName, call: Call): Promise<Failure | undefined> {
    const peer = call.getAuthContext().sslPeerCertificate;
    this.calls[method] += 1;
    this.requests.push(call.request);
    const name = peer?.subject.CN;
    this.seen.push({ method, metadata: call.metadata, commonName: typeof name === "string" ? name : undefined });
    this.#notify();
    await this.#gates.get(method);
    if (this.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.delayMs));
    const failure = this.#failures.get(method);
    const times = failure?.times ?? Infinity;
    if (failure === undefined || times === 0) return undefined;
    this.#failures.set(method, { ...failure, times: times - 1 });
    return failure;
  }

  #reject({ rejected }: RejectTokenRequest): boolean {
    const current = this.#token;
    if (current === undefined) return false;
    const isCurrent =
      rejected.case === "generation"
        ? rejected.value === current.generation
        : createHash("sha256")
            .update(current.accessToken)
            .digest()
            .equals(rejected.value ?? new Uint8Array());
    if (isCurrent) this.#token = undefined;
    return isCurrent;
  }

  #list({ pageToken }: { pageToken: string }): unknown {
    const page = Number(pageToken || 1);
    return {
      tokens: [
        {
          key: { client: "billing", audience: "https://api.example.com/", scopes: ["read"] },
          generation: this.#generation,
          expiresIn: create(DurationSchema, { seconds: 3599n, nanos: 500_000_000 }),
          keyHash: "ab".repeat(16),
        },
      ],
      incomplete: true,
      nextPageToken: page < this.pages ? String(page + 1) : "",
    };
  }

  #current(): TokenMessage | undefined {
    if (this.#token === undefined && this.mints) this.publish();
    if (this.#token === undefined) return undefined;
    const token = create(TokenSchema, this.#token);
    token.expiresIn = span(this.lifetimeMs);
    token.refreshIn = span(this.refreshMs ?? 0.9 * this.lifetimeMs);
    token.expireTime = timestampFromMs(Date.now() + this.lifetimeMs);
    this.alter(token);
    return token;
  }

  #notify(): void {
    for (const look of this.#waiting) look();
  }
}

const span = (ms: number) =>
  create(DurationSchema, { seconds: BigInt(Math.floor(ms / 1000)), nanos: Math.round((ms % 1000) * 1e6) });

/** A google.rpc.Status as the server sends it. */
export function detailsOf({ reason = "", domain = "mintonce", retryAfterMs, info = {} }: Failure): Uint8Array {
  const status = new BinaryWriter();
  const detail = (name: string, value: Uint8Array): void => {
    const any = new BinaryWriter()
      .tag(1, WireType.LengthDelimited)
      .string(`type.googleapis.com/google.rpc.${name}`)
      .tag(2, WireType.LengthDelimited)
      .bytes(value);
    status.tag(3, WireType.LengthDelimited).bytes(any.finish());
  };
  status.tag(1, WireType.Varint).int32(1).tag(2, WireType.LengthDelimited).string("unused");
  if (reason !== "") {
    const errorInfo = new BinaryWriter()
      .tag(1, WireType.LengthDelimited)
      .string(reason)
      .tag(2, WireType.LengthDelimited)
      .string(domain);
    for (const [key, value] of Object.entries({ remedy: "Mend it.", ...info })) {
      errorInfo
        .tag(3, WireType.LengthDelimited)
        .bytes(
          new BinaryWriter()
            .tag(1, WireType.LengthDelimited)
            .string(key)
            .tag(2, WireType.LengthDelimited)
            .string(value)
            .finish(),
        );
    }
    detail("ErrorInfo", errorInfo.finish());
  }
  if (retryAfterMs !== undefined) {
    detail(
      "RetryInfo",
      new BinaryWriter()
        .tag(1, WireType.LengthDelimited)
        .bytes(toBinary(DurationSchema, span(retryAfterMs)))
        .finish(),
    );
  }
  return status.finish();
}

function errorOf(failure: Failure): Partial<grpc.StatusObject> & { message: string } {
  const metadata = new grpc.Metadata();
  const details =
    failure.raw ??
    (failure.reason !== undefined || failure.retryAfterMs !== undefined ? detailsOf(failure) : undefined);
  if (details !== undefined) metadata.set("grpc-status-details-bin", Buffer.from(details));
  if (failure.pushback !== undefined) metadata.set("grpc-retry-pushback-ms", failure.pushback);
  const text = failure.text ?? "failed";
  return { code: failure.code, details: text, message: text, metadata };
}

/** What grpc-js wants to know about a generated service. */
function definitionOf(service: typeof TokenService | typeof AdminService): grpc.ServiceDefinition {
  return Object.fromEntries(
    service.methods.map((method) => [
      method.localName,
      {
        path: `/${service.typeName}/${method.name}`,
        requestStream: false,
        responseStream: method.methodKind === "server_streaming",
        requestSerialize: (message: MessageShape<DescMessage>) => Buffer.from(toBinary(method.input, message)),
        requestDeserialize: (bytes: Buffer) => fromBinary(method.input, bytes),
        responseSerialize: (message: Record<string, unknown>) =>
          Buffer.from(toBinary(method.output, create(method.output, message))),
        responseDeserialize: (bytes: Buffer) => fromBinary(method.output, bytes),
      },
    ]),
  );
}
