/** gRPC calls as promises and iterators, with cancellation by an AbortSignal. */
import { type DescMessage, type DescMethod, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import type { ClientReadableStream, Metadata, ServiceError } from "@grpc/grpc-js";
import type { Line } from "./connection.ts";

/** A method of a generated service. */
export type Method<I extends DescMessage, O extends DescMessage> = DescMethod & {
  readonly input: I;
  readonly output: O;
};

/** How to make one call. */
export interface CallOptions {
  readonly metadata: Metadata;
  /** undefined: none, which only a watch may have. */
  readonly timeoutMs: number | undefined;
}

/** What a call ended with, when that is not an answer: a gRPC error, or whatever it was aborted with. */
export class CallFailure {
  readonly error: ServiceError;

  constructor(error: ServiceError) {
    this.error = error;
  }
}

/** Ends a call with the given reason. */
export type Abort = (reason: unknown) => void;

const pathOf = (method: DescMethod): string => `/${method.parent.typeName}/${method.name}`;

/** Rejects with a CallFailure, or with the reason given to `abort`, at once. */
export function unary<I extends DescMessage, O extends DescMessage>(
  line: Line,
  method: Method<I, O>,
  request: MessageShape<I>,
  options: CallOptions,
): { readonly answer: Promise<MessageShape<O>>; readonly abort: Abort } {
  const { promise, resolve, reject } = Promise.withResolvers<MessageShape<O>>();
  const call = line.grpc.makeUnaryRequest<MessageShape<I>, MessageShape<O>>(
    pathOf(method),
    (message) => Buffer.from(toBinary(method.input, message)),
    (bytes) => fromBinary(method.output, bytes),
    request,
    options.metadata,
    deadline(options.timeoutMs),
    (error, answer) => {
      if (answer !== undefined) resolve(answer);
      else if (error !== null) reject(new CallFailure(error));
    },
  );
  const abort: Abort = (reason) => {
    reject(reason);
    cancel(call);
  };
  return { answer: promise, abort };
}

/** What a stream tells. */
export interface StreamListener<T> {
  message(message: T): void;
  /** undefined: the server ended it without an error. */
  end(error: ServiceError | undefined): void;
}

/** Starts a call whose answers come one by one. Returns how to cancel it; `end` is then called, too. */
export function serverStream<I extends DescMessage, O extends DescMessage>(
  line: Line,
  method: Method<I, O>,
  request: MessageShape<I>,
  options: CallOptions,
  listener: StreamListener<MessageShape<O>>,
): () => void {
  const stream: ClientReadableStream<MessageShape<O>> = line.grpc.makeServerStreamRequest<
    MessageShape<I>,
    MessageShape<O>
  >(
    pathOf(method),
    (message) => Buffer.from(toBinary(method.input, message)),
    (bytes) => fromBinary(method.output, bytes),
    request,
    options.metadata,
    deadline(options.timeoutMs),
  );
  let failure: ServiceError | undefined;
  stream.on("data", (message: MessageShape<O>) => {
    listener.message(message);
  });
  stream.on("error", (error) => {
    failure = error as ServiceError;
  });
  stream.on("status", () => {
    // What came just before the status may still be in the stream's buffer.
    let rest: unknown;
    do rest = stream.read();
    while (rest !== null);
    listener.end(failure);
  });
  return () => {
    cancel(stream);
  };
}

/**
 * grpc-js (seen in 1.14) forgets a cancellation that comes in the same turn as the call: it ends the call for us, but
 * then still sends it, and the server goes on until the deadline. By the next turn it has been sent, and can be cancelled.
 */
function cancel(call: { cancel(): void }): void {
  call.cancel();
  setImmediate(() => {
    call.cancel();
  });
}

/** grpc-js takes a point in time by the wall clock, and turns it into a length of time at once. */
function deadline(timeoutMs: number | undefined): { deadline?: number } {
  return timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
}
