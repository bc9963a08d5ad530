/**
 * `fetch` with the source's token. For Node's own `fetch` and others that behave alike; that of undici, whose types differ,
 * needs a cast in TypeScript: `undici.fetch as unknown as Fetch`.
 *
 * @packageDocumentation
 */
import type { TokenProvider } from "../provider.ts";
import type { Token } from "../token.ts";
import { replaced } from "./refusal.ts";

/** A `fetch` function. */
export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

/**
 * A `fetch` that sends the source's token. After a 401 it rejects the token and repeats the request once with the
 * successor. When the token cannot be replaced, it resolves to the API's own 401 and warns.
 *
 * An `Authorization` header of the request is replaced. Redirects to another origin are followed without the token. A
 * 401 after any redirect rejects nothing. A request whose body is a stream is not repeated, since the stream has been read; the
 * token is still rejected. The body of a `Request` object is kept in memory until the answer begins.
 *
 * Rejects as `fetch` does, and with MintonceError when there is no token.
 */
export function withMintonce(fetch: Fetch, source: TokenProvider): Fetch {
  return async (input, init) => {
    const signal = init?.signal ?? (isRequest(input) ? input.signal : undefined);
    const token = await source.get({ signal: signal ?? undefined });
    const spare = isRequest(input) && init?.body == null ? input.clone() : input;
    const response = await send(fetch, input, init, token);
    // `fetch` drops the token when a redirect leads to another origin, even if the next one leads back. It does not say
    // which way it went: a 401 at the end says nothing about the token.
    if (response.status !== 401 || response.redirected) {
      dispose(spare, input);
      return response;
    }
    const successor = await replaced(source, token, signal);
    if (successor === undefined || isStream(init?.body)) {
      dispose(spare, input);
      return response;
    }
    await response.body?.cancel();
    return send(fetch, spare, init, successor);
  };
}

function send(
  fetch: Fetch,
  input: string | URL | Request,
  init: RequestInit | undefined,
  token: Token,
): Promise<Response> {
  const headers = new Headers(init?.headers ?? (isRequest(input) ? input.headers : undefined));
  headers.set("authorization", token.header);
  return fetch(input, { ...init, headers });
}

/** By its shape, since undici's own `Request` is not the global one. */
function isRequest(input: string | URL | Request): input is Request {
  return typeof input === "object" && "clone" in input;
}

function isStream(body: RequestInit["body"] | undefined): boolean {
  if (body == null || typeof body === "string") return false;
  return !(
    body instanceof ArrayBuffer ||
    ArrayBuffer.isView(body) ||
    body instanceof Blob ||
    body instanceof FormData ||
    body instanceof URLSearchParams
  );
}

/** Lets go of the copy of a body that is not needed any more. */
function dispose(spare: string | URL | Request, input: string | URL | Request): void {
  if (isRequest(spare) && spare !== input) spare.body?.cancel().catch(() => undefined);
}
