/**
 * An interceptor for undici's dispatchers.
 *
 * @packageDocumentation
 */
import type { Dispatcher } from "undici";
import type { TokenProvider } from "../provider.ts";
import type { Token } from "../token.ts";
import { replaced } from "./refusal.ts";

/** A 401 with more than this is cut off, rather than read to its end, before the request is repeated. */
const MAX_DISCARDED = 64 * 1024;

type Dispatch = Dispatcher["dispatch"];
type Options = Dispatcher.DispatchOptions;
type Handler = Dispatcher.DispatchHandler;
type Controller = Dispatcher.DispatchController;

/**
 * For `dispatcher.compose(…)`: sends the source's token. After a 401 it rejects the token and repeats the request once
 * with the successor. When the token cannot be replaced, the API's own 401 is passed on, with a warning.
 *
 * Compose it after `interceptors.redirect(…)`, as in `agent.compose(interceptors.redirect(…), mintonceInterceptor(source))`:
 * redirects to another origin are then followed without the token, and a 401 from there rejects nothing. A request whose
 * body is a stream is not repeated, since the stream has been read; the token is still rejected.
 */
export function mintonceInterceptor(source: TokenProvider): Dispatcher.DispatcherComposeInterceptor {
  return (dispatch) => (options, handler) => {
    if (isForeignHop(options, handler)) return dispatch(options, handler);
    let token: Token;
    try {
      token = source.token();
    } catch {
      // Over: wait for a successor, if the source is still open.
      source.get().then(
        (fresh) => {
          start(dispatch, options, handler, source, fresh);
        },
        (error: unknown) => {
          fail(handler, error);
        },
      );
      return true;
    }
    return start(dispatch, options, handler, source, token);
  };
}

function start(dispatch: Dispatch, options: Options, handler: Handler, source: TokenProvider, token: Token): boolean {
  const watcher = new RefusalHandler(handler, source, token, {
    origin: originOf(options),
    repeat: canRepeat(options.body)
      ? (successor) => {
          try {
            dispatch(withToken(options, successor), handler);
          } catch (error) {
            fail(handler, error);
          }
        }
      : undefined,
  });
  return dispatch(withToken(options, token), watcher);
}

/** Passes everything on but a 401 to our token, which it holds back until the token has been rejected. */
class RefusalHandler implements Handler {
  readonly #next: Handler;
  readonly #source: TokenProvider;
  readonly #token: Token;
  readonly #origin: string | undefined;
  readonly #repeat: ((successor: Token) => void) | undefined;
  #history: readonly URL[] | undefined;
  #state: "passing" | "held" | "discarding" = "passing";
  #discarded = 0;

  constructor(
    next: Handler,
    source: TokenProvider,
    token: Token,
    how: { readonly origin: string | undefined; readonly repeat: ((successor: Token) => void) | undefined },
  ) {
    this.#next = next;
    this.#source = source;
    this.#token = token;
    this.#origin = how.origin;
    this.#repeat = how.repeat;
  }

  onRequestStart(controller: Controller, context: unknown): void {
    // undici's redirect interceptor tells where the request has been, and adds to that as it goes on.
    const { history } = (context ?? {}) as { history?: readonly URL[] };
    this.#history = history;
    this.#next.onRequestStart?.(controller, context);
  }

  onRequestUpgrade(...from: Parameters<NonNullable<Handler["onRequestUpgrade"]>>): void {
    this.#next.onRequestUpgrade?.(...from);
  }

  onResponseStart(
    controller: Controller,
    status: number,
    headers: Record<string, string | string[]>,
    text?: string,
  ): void {
    const hasLeft = this.#history?.some((url) => url.origin !== this.#origin) ?? false;
    if (status !== 401 || hasLeft) {
      this.#next.onResponseStart?.(controller, status, headers, text);
      return;
    }
    this.#state = "held";
    controller.pause();
    const passOn = (): void => {
      // It may have been aborted meanwhile, by who asked.
      if (this.#state !== "held") return;
      this.#state = "passing";
      this.#next.onResponseStart?.(controller, status, headers, text);
      controller.resume();
    };
    replaced(this.#source, this.#token).then((successor) => {
      if (successor === undefined || this.#repeat === undefined) {
        passOn();
      } else if (this.#state === "held") {
        this.#state = "discarding";
        controller.resume();
        this.#repeat(successor);
      }
    }, passOn);
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    if (this.#state === "passing") {
      this.#next.onResponseData?.(controller, chunk);
      return;
    }
    this.#discarded += chunk.length;
    if (this.#discarded > MAX_DISCARDED) controller.abort(new Error("a refused request is repeated"));
  }

  onResponseEnd(controller: Controller, trailers: Record<string, string | string[]>): void {
    if (this.#state === "passing") this.#next.onResponseEnd?.(controller, trailers);
  }

  onResponseError(controller: Controller, error: Error): void {
    if (this.#state === "discarding") return;
    this.#state = "passing";
    this.#next.onResponseError?.(controller, error);
  }

  onRequestSent(): void {
    (this.#next as { onRequestSent?: () => void }).onRequestSent?.();
  }

  onBodySent(...from: unknown[]): void {
    (this.#next as { onBodySent?: (...from: unknown[]) => void }).onBodySent?.(...from);
  }
}

/** The request with our header in place of any other `authorization`. */
function withToken(options: Options, token: Token): Options {
  // A list in turns of name and value, which is the one form of a list that undici's core takes.
  const headers = ["authorization", token.header];
  for (const [name, value] of pairs(options.headers)) {
    if (value == null || name.toLowerCase() === "authorization") continue;
    for (const each of Array.isArray(value) ? value : [value]) headers.push(name, String(each));
  }
  return { ...options, headers };
}

type Pair = readonly [name: string, value: string | number | readonly string[] | null | undefined];

function pairs(headers: Options["headers"]): readonly Pair[] {
  if (headers == null) return [];
  if (!(Symbol.iterator in headers)) return Object.entries(headers);
  const list: readonly (string | Pair)[] = [...headers];
  // A list is one of pairs, or of names and values in turns.
  return list.flatMap((each, index): Pair[] => {
    if (typeof each !== "string") return [each];
    return index % 2 === 0 ? [[each, list[index + 1] as string | undefined]] : [];
  });
}

/**
 * Whether this is a redirect to another origin, which our interceptor sees when it was composed before that of
 * redirects. Their handler keeps the history.
 */
function isForeignHop(options: Options, handler: Handler): boolean {
  const { history } = handler as { history?: unknown };
  if (!Array.isArray(history) || history.length === 0) return false;
  const first: unknown = history[0];
  return first instanceof URL && first.origin !== originOf(options);
}

function originOf({ origin }: Options): string | undefined {
  return origin === undefined ? undefined : new URL(origin).origin;
}

function canRepeat(body: Options["body"]): boolean {
  return body == null || typeof body === "string" || body instanceof Uint8Array || body instanceof FormData;
}

function fail(handler: Handler, error: unknown): void {
  // There is no request yet that could be controlled; undici's own interceptors do the same.
  handler.onResponseError?.(null as unknown as Controller, error as Error);
}
