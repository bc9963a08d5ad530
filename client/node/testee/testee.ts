/** The program that the conformance suite drives: JSON lines on stdin and stdout, as conformance/README.md says. */
import { createInterface } from "node:readline";
import { VERSION } from "../src/version.ts";
import { adapters } from "./adapters.ts";
import { errorOf, Unsupported } from "./answers.ts";
import { operations, type Request, type Result, shutdown } from "./operations.ts";

const FEATURES = ["unix", "dns", "cancel", "http_proxy", "keys:sec1", "keys:pkcs1", "rotate", "list", "grpc:grpc-js"];

const running = new Map<number, AbortController>();

function hello(): Result {
  const features = [...FEATURES, ...Object.keys(adapters).map((name) => `http:${name}`)];
  return { protocol: 1, language: "node", version: VERSION, runtime: `node ${process.version}`, features };
}

async function run(request: Request, signal: AbortSignal): Promise<Result> {
  if (request.op === "hello") return hello();
  if (request.op === "cancel") {
    running.get(request["of"] as number)?.abort();
    return {};
  }
  if (request.op === "burst") {
    const of = request["of"] as Request;
    const each = async (): Promise<Result> => answer(of, signal);
    return { results: await Promise.all(Array.from({ length: request["n"] as number }, each)) };
  }
  const operation = operations[request.op];
  if (operation === undefined) throw new Unsupported(`no such operation: ${request.op}`);
  return operation(request, signal);
}

async function answer(request: Request, signal: AbortSignal): Promise<Result> {
  try {
    return { ok: await run(request, signal) };
  } catch (error) {
    return errorOf(error, signal);
  }
}

const lines = createInterface({ input: process.stdin, crlfDelay: Infinity });
lines.on("line", (line) => {
  const request = JSON.parse(line) as Request & { id: number };
  const controller = new AbortController();
  running.set(request.id, controller);
  void answer(request, controller.signal).then((result) => {
    running.delete(request.id);
    process.stdout.write(`${JSON.stringify({ id: request.id, ...result })}\n`);
  });
});
// Nothing is left behind then, so the process ends by itself.
lines.on("close", () => void shutdown());
