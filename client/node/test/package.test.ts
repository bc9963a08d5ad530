/** What package.json says is so. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { VERSION } from "../src/version.ts";

const here = (path: string): URL => new URL(`../${path}`, import.meta.url);
const manifest = JSON.parse(readFileSync(here("package.json"), "utf8")) as {
  version: string;
  exports: Record<string, string | Record<string, string>>;
  dependencies: Record<string, string>;
};

test("the version in the code is that of the package", () => {
  assert.equal(VERSION, manifest.version);
});

test("each sub-path has its file", () => {
  const files = Object.values(manifest.exports).flatMap((each) =>
    typeof each === "string" ? [each] : Object.values(each),
  );
  for (const file of files) {
    const source = file.replace("./dist/", "src/").replace(/\.js$/, ".ts");
    assert.ok(existsSync(here(source)), file);
  }
});

test("a bundle for browsers says why there is none", async () => {
  await assert.rejects(import("../src/browser.ts"), /for Node\.js/);
});

test("it depends on gRPC and protobuf, and on nothing else", () => {
  assert.deepEqual(Object.keys(manifest.dependencies).sort(), ["@bufbuild/protobuf", "@grpc/grpc-js"]);
});

test("the lock names no registry", () => {
  assert.doesNotMatch(readFileSync(here("package-lock.json"), "utf8"), /"resolved"|https?:\/\/registry/);
});
