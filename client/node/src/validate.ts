/** What may stand in a request. What may not is refused here, as the server would refuse it. */
import { Refused } from "./errors.ts";

const LARGEST_INT64 = (1n << 63n) - 1n;
const LARGEST_INT32 = 2 ** 31 - 1;
/** Milliseconds of a google.protobuf.Duration: ten thousand years. */
const LONGEST_MS = 315_576_000_000_000;

/** The text, if UTF-8 has it: no half of a surrogate pair. */
export function wellFormed(what: string, value: string): string {
  if (value.isWellFormed()) return value;
  throw refused(`the ${what} is not well-formed Unicode`, `Write the ${what} without lone surrogates.`);
}

/** A generation that its field can hold. Whether it makes sense, the server says. */
export function int64(what: string, value: bigint): bigint {
  if (-LARGEST_INT64 - 1n <= value && value <= LARGEST_INT64) return value;
  throw refused(`the ${what} is out of range`, `Give a whole number up to ${String(LARGEST_INT64)}.`);
}

/** A number that its field can hold. */
export function int32(what: string, value: number): number {
  if (Number.isInteger(value) && Math.abs(value) <= LARGEST_INT32) return value;
  throw refused(`the ${what} is out of range`, `Give a whole number up to ${String(LARGEST_INT32)}.`);
}

/** A length of time that a google.protobuf.Duration can hold. */
export function duration(what: string, ms: number): number {
  if (Number.isFinite(ms) && Math.abs(ms) <= LONGEST_MS) return ms;
  throw refused(`the ${what} is out of range`, `Give at most ${String(LONGEST_MS)} milliseconds.`);
}

/** Programming errors. */
export const must = {
  /** A wait needs an end: a positive number of milliseconds. */
  beSpan(what: string, ms: number): void {
    if (!(Number.isFinite(ms) && ms > 0)) throw new RangeError(`${what} must be a positive number of milliseconds`);
  },
};

function refused(message: string, remedy: string): Refused {
  return new Refused(message, { reason: "INVALID_REQUEST", remedy, code: "INVALID_ARGUMENT" });
}
