/**
 * The three messages of google.rpc that errors travel in (google/rpc/status.proto and error_details.proto), read by
 * hand: grpc-js does not decode them, and their packages are larger than this client.
 */
import { BinaryReader } from "@bufbuild/protobuf/wire";
import type { Metadata } from "@grpc/grpc-js";

const METADATA_KEY = "grpc-status-details-bin";
const ERROR_INFO = "google.rpc.ErrorInfo";
const RETRY_INFO = "google.rpc.RetryInfo";
const DOMAIN = "mintonce";

/** What the server said about an error. `reason` is "" when it said nothing that we know. */
export interface Details {
  readonly reason: string;
  readonly metadata: ReadonlyMap<string, string>;
  readonly retryAfterMs: number | undefined;
}

const NOTHING: Details = { reason: "", metadata: new Map(), retryAfterMs: undefined };

/** Never throws: what is absent, malformed or of another domain counts as not said. */
export function decode(metadata: Metadata): Details {
  try {
    const [value] = metadata.get(METADATA_KEY);
    return value === undefined || typeof value === "string" ? NOTHING : status(value);
  } catch {
    return NOTHING;
  }
}

function status(bytes: Uint8Array): Details {
  let found = NOTHING;
  for (const [, any] of fields(bytes, 3)) {
    let url = "";
    let value: Uint8Array = new Uint8Array();
    for (const [number, content] of fields(any, 1, 2)) {
      if (number === 1) url = text(content);
      else value = content;
    }
    const name = url.slice(url.lastIndexOf("/") + 1);
    if (name === ERROR_INFO) found = { ...found, ...errorInfo(value) };
    if (name === RETRY_INFO) found = { ...found, retryAfterMs: retryInfo(value) };
  }
  return found;
}

function errorInfo(bytes: Uint8Array): Partial<Details> {
  let reason = "";
  let domain = "";
  const metadata = new Map<string, string>();
  for (const [number, content] of fields(bytes, 1, 2, 3)) {
    if (number === 1) reason = text(content);
    else if (number === 2) domain = text(content);
    else {
      const entry = new Map([...fields(content, 1, 2)].map(([part, value]) => [part, text(value)]));
      metadata.set(entry.get(1) ?? "", entry.get(2) ?? "");
    }
  }
  return domain === DOMAIN ? { reason, metadata } : {};
}

function retryInfo(bytes: Uint8Array): number | undefined {
  for (const [, content] of fields(bytes, 1)) {
    const reader = new BinaryReader(content);
    let seconds = 0;
    let nanos = 0;
    while (reader.pos < reader.len) {
      const [number, type] = reader.tag();
      if (number === 1) seconds = Number(reader.int64());
      else if (number === 2) nanos = reader.int32();
      else reader.skip(type, number);
    }
    const delay = seconds * 1000 + nanos / 1e6;
    return delay > 0 ? delay : 0;
  }
  return undefined;
}

/** The length-delimited fields of a message that have one of the numbers. */
function* fields(bytes: Uint8Array, ...wanted: readonly number[]): Generator<[number, Uint8Array]> {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (wanted.includes(number)) yield [number, reader.bytes()];
    else reader.skip(type, number);
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true });
const text = (bytes: Uint8Array): string => decoder.decode(bytes);
