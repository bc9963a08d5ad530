/** What the suite can ask for. */
import { format, inspect } from "node:util";
import {
  Client,
  type ConnectionOptions,
  MintonceError,
  type SourceOptions,
  type Token,
  TokenSource,
} from "../src/index.ts";
import { adapters } from "./adapters.ts";
import { tokenOf, Unsupported } from "./answers.ts";
import { grpcCall } from "./grpc-call.ts";

export type Request = { readonly op: string } & Readonly<Record<string, unknown>>;
export type Result = Record<string, unknown>;
type Operation = (request: Request, signal: AbortSignal) => Promise<Result> | Result;

const sources = new Map<string, TokenSource>();
const clients = new Map<string, Client>();
/** By source and generation: to have one to reject. */
const tokens = new Map<string, Token>();
const options: unknown[] = [];
const warnings: string[] = [];
let lastError: unknown;

process.on("warning", (warning) => {
  if (warning.name === "MintonceWarning") warnings.push(warning.message);
});

export function remember(error: unknown): void {
  if (error instanceof Error && !(error instanceof Unsupported)) lastError = error;
}

/** Closes everything that is still open. */
export async function shutdown(): Promise<void> {
  await Promise.all([...sources.values(), ...clients.values()].map((each) => each.close()));
}

const text = (request: Request, name: string): string => request[name] as string;
const number = (request: Request, name: string): number | undefined =>
  (request[name] ?? undefined) as number | undefined;

function sourceOf(request: Request): TokenSource {
  const source = sources.get(text(request, "source"));
  if (source === undefined) throw new Error(`no such source: ${text(request, "source")}`);
  return source;
}

function clientOf(name: string): Client {
  const client = clients.get(name);
  if (client === undefined) throw new Error(`no such client: ${name}`);
  return client;
}

function answered(source: string, token: Token): Result {
  tokens.set(`${source} ${String(token.generation)}`, token);
  return tokenOf(token);
}

const keyOf = (request: Request): { audience?: string; scopes?: string[] } => ({
  ...(request["audience"] == null ? {} : { audience: text(request, "audience") }),
  ...(request["scopes"] == null ? {} : { scopes: request["scopes"] as string[] }),
});

function connectionOf(request: Request): ConnectionOptions {
  const tls = request["tls"] as boolean | Record<string, string | null> | null | undefined;
  const part = (name: string): string | undefined => (typeof tls === "object" ? (tls?.[name] ?? undefined) : undefined);
  const result: ConnectionOptions = {
    target: (request["target"] ?? undefined) as string | undefined,
    tls:
      tls == null || typeof tls === "boolean"
        ? (tls ?? undefined)
        : {
            caFile: part("ca_file"),
            certificateFile: part("certificate_file"),
            keyFile: part("key_file"),
            serverName: part("server_name"),
          },
    bearerFile: (request["bearer_file"] ?? undefined) as string | false | undefined,
    apiKeyFile: (request["api_key_file"] ?? undefined) as string | undefined,
    timeoutMs: number(request, "timeout_ms"),
  };
  options.push(result);
  return result;
}

const waitOf = (request: Request, signal: AbortSignal): { timeoutMs: number | undefined; signal: AbortSignal } => ({
  timeoutMs: number(request, "timeout_ms"),
  signal,
});

async function watch(request: Request, signal: AbortSignal): Promise<Result> {
  const found: Result[] = [];
  try {
    const call = clientOf(text(request, "conn")).watch(text(request, "client"), {
      ...keyOf(request),
      ...waitOf(request, signal),
    });
    for await (const token of call) {
      found.push(tokenOf(token));
      if (found.length === request["count"]) break;
    }
  } catch (error) {
    throw Object.assign(error as Error, { tokens: found });
  }
  return { tokens: found };
}

/** Every way in which JavaScript turns a value into text. */
function texts(kind: string, value: unknown): Result {
  const deep = { depth: 10, showHidden: true, getters: true };
  return {
    [`${kind}.toString`]: String(value),
    [`${kind}.inspect`]: inspect(value),
    [`${kind}.inspect.deep`]: inspect(value, deep),
    [`${kind}.inspect.nested`]: inspect({ value: [value] }, deep),
    [`${kind}.json`]: JSON.stringify(value, big),
    [`${kind}.format`]: format("%s %o %O %j", value, value, value, kind === "options" ? "" : value),
    [`${kind}.keys`]: inspect(
      value !== null && typeof value === "object" ? Object.entries(Object.getOwnPropertyDescriptors(value)) : value,
    ),
    [`${kind}.stack`]: value instanceof Error ? (value.stack ?? "") : "",
  };
}

const big = (_: string, value: unknown): unknown => (typeof value === "bigint" ? String(value) : value);

function print(request: Request): Result {
  const source = sourceOf(request);
  let token: unknown;
  try {
    token = source.token();
  } catch (error) {
    token = error instanceof MintonceError ? [...tokens.values()].at(-1) : error;
  }
  return {
    texts: {
      ...texts("token", token),
      ...texts("source", source),
      ...texts("error", lastError ?? null),
      ...texts("options", options),
      ...Object.assign({}, ...[...clients.values()].map((client, index) => texts(`client.${String(index)}`, client))),
    },
  };
}

export const operations: Readonly<Record<string, Operation>> = {
  async open(request, signal) {
    const shared = request["via"] == null ? undefined : clientOf(text(request, "via"));
    const how: SourceOptions = {
      ...keyOf(request),
      ...connectionOf(request),
      waitForServerMs: number(request, "wait_for_server_ms"),
      via: shared,
      signal,
    };
    const source = await TokenSource.open(text(request, "client"), how);
    const name = text(request, "source");
    sources.set(name, source);
    return answered(name, source.token());
  },
  token(request) {
    const source = sourceOf(request);
    for (let left = number(request, "count") ?? 1; left > 1; left -= 1) source.token();
    return answered(text(request, "source"), source.token());
  },
  async get(request, signal) {
    return answered(text(request, "source"), await sourceOf(request).get(waitOf(request, signal)));
  },
  async reject(request, signal) {
    const source = text(request, "source");
    const token = tokens.get(`${source} ${String(request["generation"])}`);
    if (token === undefined)
      throw new Error(`no token of this generation was answered: ${String(request["generation"])}`);
    return answered(source, await sourceOf(request).reject(token, waitOf(request, signal)));
  },
  async updated(request, signal) {
    const than = request["than"] as number;
    const source = sourceOf(request);
    // Any token of that generation does: it is only compared.
    const known = tokens.get(`${text(request, "source")} ${String(than)}`);
    if (known !== undefined)
      return answered(text(request, "source"), await source.waitUntilUpdated(known, waitOf(request, signal)));
    for await (const token of source.updates({
      signal: AbortSignal.any([signal, AbortSignal.timeout(number(request, "timeout_ms") ?? 10_000)]),
    })) {
      if (token.generation > BigInt(than)) return answered(text(request, "source"), token);
    }
    throw new Error("the source was closed");
  },
  async close(request) {
    if (request["source"] != null) await sources.get(text(request, "source"))?.close();
    if (request["conn"] != null) await clients.get(text(request, "conn"))?.close();
    return {};
  },
  client_open(request) {
    clients.set(text(request, "conn"), new Client(connectionOf(request)));
    return {};
  },
  async client_get(request, signal) {
    const token = await clientOf(text(request, "conn")).get(text(request, "client"), {
      ...keyOf(request),
      ...waitOf(request, signal),
      minTtlMs: number(request, "min_ttl_ms"),
    });
    return tokenOf(token);
  },
  client_watch: watch,
  async client_reject(request, signal) {
    const { generation, sha256 } = request;
    const wasCurrent = await clientOf(text(request, "conn")).reject(text(request, "client"), {
      ...keyOf(request),
      ...waitOf(request, signal),
      generation: generation == null ? undefined : BigInt(generation as number),
      accessTokenSha256: sha256 == null ? undefined : Buffer.from(sha256 as string, "hex"),
    });
    return { was_current: wasCurrent };
  },
  async client_rotate(request, signal) {
    const { previousGeneration, generation } = await clientOf(text(request, "conn")).rotate(text(request, "client"), {
      ...keyOf(request),
      ...waitOf(request, signal),
    });
    return { previous_generation: Number(previousGeneration), generation: Number(generation) };
  },
  async client_list(request, signal) {
    const page = await clientOf(text(request, "conn")).list({
      pageSize: number(request, "page_size"),
      pageToken: (request["page_token"] ?? undefined) as string | undefined,
      ...waitOf(request, signal),
    });
    return {
      tokens: page.tokens.map(({ client, audience, scopes, generation }) => ({
        client,
        audience,
        scopes,
        generation: Number(generation),
      })),
      next_page_token: page.nextPageToken,
    };
  },
  print,
  logs: () => ({ warnings }),
  async http(request) {
    const adapter = adapters[text(request, "adapter")];
    if (adapter === undefined) throw new Unsupported(`no such adapter: ${text(request, "adapter")}`);
    const { status, body } = await adapter(sourceOf(request), {
      method: text(request, "method"),
      url: text(request, "url"),
      body: request["body"] ?? undefined,
    });
    return { status, body };
  },
  async grpc_call(request) {
    const tls = (request["tls"] ?? undefined) as { ca_file?: string; server_name?: string } | undefined;
    return { code: await grpcCall(sourceOf(request), text(request, "target"), tls) };
  },
};
