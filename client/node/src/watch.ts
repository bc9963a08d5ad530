/** A key's tokens as they come. */
import type { MessageShape } from "@bufbuild/protobuf";
import type { ServiceError } from "@grpc/grpc-js";
import { type Abort, CallFailure, serverStream } from "./calls.ts";
import type { Connection } from "./connection.ts";
import { TokenService, type WatchTokenRequestSchema } from "./gen/mintonce/v1/tokens_pb.ts";
import type { Token } from "./token.ts";
import { translate } from "./translate.ts";
import { tokenOf } from "./wire.ts";

interface WatchOptions {
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How a watch has ended. Without `thrown` it is just over. */
interface End {
  readonly thrown?: unknown;
}

/**
 * What `Client.watch` returns: tokens for one `for await`. Leaving the loop cancels the call; so does `cancel()`, also
 * while a message is awaited.
 */
export class Watch implements AsyncIterableIterator<Token, void>, AsyncDisposable {
  readonly #connection: Connection;
  readonly #tokens: Token[] = [];
  readonly #end: (end: End) => void;
  #ended: End | undefined;
  #cancelCall: () => void;
  #changed = Promise.withResolvers<undefined>();

  /** @internal */
  constructor(
    connection: Connection,
    request: MessageShape<typeof WatchTokenRequestSchema>,
    { timeoutMs, signal }: WatchOptions,
    running: Set<Abort>,
  ) {
    this.#connection = connection;
    const metadata = connection.metadata();
    const line = connection.acquire();
    const abort: Abort = (reason) => {
      this.#stop({ thrown: reason });
    };
    const onAbort = (): void => {
      abort(signal?.reason);
    };
    this.#end = (end) => {
      if (this.#ended !== undefined) return;
      this.#ended = end;
      signal?.removeEventListener("abort", onAbort);
      running.delete(abort);
      line.release();
      this.#notify();
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    running.add(abort);

    // The first message answers the call; what is pushed later was on its way for a part of a round trip.
    let anchor: number | undefined = performance.now();
    this.#cancelCall = serverStream(
      line,
      TokenService.method.watchToken,
      request,
      { metadata, timeoutMs },
      {
        message: (message) => {
          if (this.#ended !== undefined) return;
          try {
            this.#tokens.push(tokenOf(message.token, anchor ?? performance.now()));
          } catch (error) {
            // After the tokens that came before it.
            this.#end({ thrown: error });
            this.#cancelCall();
            return;
          }
          anchor = undefined;
          this.#notify();
        },
        end: (error: ServiceError | undefined) => {
          this.#end(error === undefined ? {} : { thrown: new CallFailure(error) });
        },
      },
    );
  }

  /** The next token. Throws MintonceError when the watch fails, once; it is over then. */
  async next(): Promise<IteratorResult<Token, void>> {
    for (;;) {
      const token = this.#tokens.shift();
      if (token !== undefined) return { value: token, done: false };
      if (this.#ended !== undefined) {
        const { thrown } = this.#ended;
        this.#ended = {};
        if (thrown instanceof CallFailure) throw translate(thrown.error, this.#connection.link);
        if (thrown !== undefined) throw thrown as Error;
        return { value: undefined, done: true };
      }
      await this.#changed.promise;
    }
  }

  /** Ends the watch: the iteration is over, without an error. May be called again. */
  cancel(): void {
    this.#stop({});
  }

  /** As `cancel`: for `for await`, which calls it when the loop is left. */
  return(): Promise<IteratorResult<Token, void>> {
    this.cancel();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** As `cancel`: for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    this.cancel();
    return Promise.resolve();
  }

  #stop(end: End): void {
    if (this.#ended !== undefined) {
      this.#tokens.length = 0;
      return;
    }
    this.#tokens.length = 0;
    this.#end(end);
    this.#cancelCall();
  }

  #notify(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers();
    resolve(undefined);
  }
}
