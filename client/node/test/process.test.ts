/** The built package in a process of its own, as it is and bundled. Needs dist/: make build. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { Folder } from "./support/folder.ts";
import { ScriptedServer } from "./support/server.ts";

const PROGRAM = fileURLToPath(new URL("programs/life.mjs", import.meta.url));
const EXPECTED = "true function true UNREACHABLE\n";

/** What a program prints. Fails when it does not end, or says anything on stderr. */
async function output(program: string, target: string): Promise<string> {
  const child = spawn(process.execPath, [program], {
    env: { ...process.env, MINTONCE_TARGET: target },
    timeout: 30_000,
  });
  let out = "";
  child.stdout.on("data", (chunk) => (out += String(chunk)));
  child.stderr.on("data", (chunk) => (out += String(chunk)));
  const code = await new Promise((resolve) => child.on("close", resolve));
  assert.equal(code, 0, out);
  return out;
}

test("a program ends by itself when it has closed what it opened", async () => {
  await using server = await ScriptedServer.start();
  assert.equal(await output(PROGRAM, server.target), EXPECTED);
});

test("it works bundled, as CommonJS", async () => {
  using folder = new Folder();
  await using server = await ScriptedServer.start();
  const outfile = `${folder.path}/bundle.cjs`;
  await build({
    entryPoints: [PROGRAM],
    outfile,
    bundle: true,
    platform: "node",
    format: "cjs",
    minify: true,
    logLevel: "error",
  });
  assert.equal(await output(outfile, server.target), EXPECTED);
});

test("it works bundled, as ES modules", async () => {
  using folder = new Folder();
  await using server = await ScriptedServer.start();
  const outfile = `${folder.path}/bundle.mjs`;
  // grpc-js is CommonJS: a bundle of ES modules has to give it a `require`. The README says so.
  const banner = { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' };
  await build({
    entryPoints: [PROGRAM],
    outfile,
    banner,
    bundle: true,
    platform: "node",
    format: "esm",
    logLevel: "error",
  });
  assert.equal(await output(outfile, server.target), EXPECTED);
});
