/** Files that are replaced while we use them: read again, and the last good value kept. */
import { createHash } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { getSystemErrorMessage } from "node:util";
import { unusable } from "./errors.ts";
import type { Logger } from "./logger.ts";
import { looksSecret } from "./misplaced.ts";

/** Content is compared, not times: symlinks that Kubernetes swaps, and clocks, cannot mislead it. */
const LOOK_EVERY_MS = 1000;
/** The bundle of all public authorities takes a quarter of it. */
const LARGEST_BYTES = 1 << 20;

/** A file cannot be used. The message names the file and never shows what is in it. */
export class FileFault extends Error {
  /** What to do about it, where that is not the same for every fault of the file. */
  readonly remedy: string | undefined;

  constructor(message: string, remedy?: string) {
    super(message);
    this.remedy = remedy;
  }
}

/**
 * A value loaded from files, loaded again when their content changes.
 *
 * Nothing watches in the background: who asks for the value looks, at most once a second. The first load throws
 * Refused; a later one that fails keeps the value and warns once, and again only when the fault is another one.
 */
export class Watched<T> {
  readonly #paths: readonly string[];
  readonly #load: (contents: readonly Buffer[]) => T;
  readonly #logger: Logger;
  #value: T;
  #digest: string;
  #fault = "";
  #lookAt: number;

  constructor(paths: readonly string[], load: (contents: readonly Buffer[]) => T, remedy: string, logger: Logger) {
    this.#paths = paths;
    this.#load = load;
    this.#logger = logger;
    this.#lookAt = performance.now() + LOOK_EVERY_MS;
    try {
      const contents = paths.map(read);
      this.#value = load(contents);
      this.#digest = digest(contents);
    } catch (error) {
      if (error instanceof FileFault) throw unusable(error.message, error.remedy ?? remedy);
      throw error;
    }
  }

  /** The value. Reads the files when the last look is a second old. */
  current(): T {
    if (performance.now() >= this.#lookAt) {
      this.#look();
      this.#lookAt = performance.now() + LOOK_EVERY_MS;
    }
    return this.#value;
  }

  #look(): void {
    try {
      const contents = this.#paths.map(read);
      const found = digest(contents);
      if (found !== this.#digest) {
        this.#value = this.#load(contents);
        this.#digest = found;
      }
      this.#fault = "";
    } catch (error) {
      if (!(error instanceof FileFault)) throw error;
      if (error.message !== this.#fault) this.#logger.warn(`${error.message}; going on with what was there before`);
      this.#fault = error.message;
    }
  }
}

/** The content of a regular file: reading any other may wait forever, or not work twice. Throws FileFault. */
export function read(path: string): Buffer {
  if (looksSecret(path)) throw new FileFault("what was given as a path is not a path: give the name of a file");
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    if (!fstatSync(descriptor).isFile()) throw new FileFault(`${path} is not a regular file`);
    const content = Buffer.alloc(LARGEST_BYTES + 1);
    let length = 0;
    for (let got = -1; got !== 0 && length < content.length; length += got) {
      got = readSync(descriptor, content, length, content.length - length, null);
    }
    if (length > LARGEST_BYTES) throw new FileFault(`${path} has more than ${String(LARGEST_BYTES)} bytes`);
    return content.subarray(0, length);
  } catch (error) {
    if (error instanceof FileFault) throw error;
    throw new FileFault(`${path} cannot be read: ${why(error)}`);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function why(error: unknown): string {
  const { errno, code } = error as NodeJS.ErrnoException;
  return errno === undefined ? (code ?? "unknown error") : getSystemErrorMessage(errno);
}

/** No secret is kept for the comparison alone. Lengths first: moving bytes from one file to the next is a change. */
function digest(contents: readonly Buffer[]): string {
  const hash = createHash("sha256").update(`${contents.map((each) => each.length).join(",")}:`);
  for (const content of contents) hash.update(content);
  return hash.digest("hex");
}
