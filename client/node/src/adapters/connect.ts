/**
 * An interceptor for Connect.
 *
 * @packageDocumentation
 */
import type { Interceptor } from "@connectrpc/connect";
import { isLoopback } from "../local.ts";
import type { TokenProvider } from "../provider.ts";
import { replaced } from "./refusal.ts";

/** `Code.Unauthenticated` of Connect. A number, so that this module needs only types of it. */
const UNAUTHENTICATED = 16;

/**
 * For `interceptors` of a transport: sends the source's token. When a unary call ends with `unauthenticated`, it rejects
 * the token and repeats the call once with the successor. When the token cannot be replaced, the call fails with the
 * API's own error, and a warning. Streams get the token but are not repeated.
 *
 * Without TLS only to loopback: a call to any other host throws a TypeError and sends nothing.
 */
export function connectInterceptor(source: TokenProvider): Interceptor {
  return (next) => async (request) => {
    const { protocol, hostname, host } = new URL(request.url);
    // URL writes an IPv6 address in brackets.
    if (protocol === "http:" && !isLoopback(hostname.replace(/^\[(.*)\]$/, "$1"))) {
      throw new TypeError(`a token would travel in clear to ${host}: use TLS, an https: URL`);
    }
    const token = await source.get({ signal: request.signal });
    request.header.set("authorization", token.header);
    try {
      return await next(request);
    } catch (error) {
      if (request.stream || (error as { code?: unknown }).code !== UNAUTHENTICATED) throw error;
      const successor = await replaced(source, token, request.signal);
      if (successor === undefined) throw error;
      request.header.set("authorization", successor.header);
      return next(request);
    }
  };
}
