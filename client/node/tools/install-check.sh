#!/bin/sh
# Installs the package $1 into a scratch project outside the repository, as the README says, and uses it there.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
echo '{ "name": "scratch", "private": true, "type": "module" }' > package.json
$NPM install --silent --ignore-scripts --no-audit --no-fund "$1"

# Without the optional peers: the main entry, fetch and gRPC.
cat > use.mjs <<'PROGRAM'
import { MintonceError, TokenSource } from "@mintonce/client";
import { withMintonce } from "@mintonce/client/fetch";
import { channelCredentials } from "@mintonce/client/grpc";
import { attachMintonce } from "@mintonce/client/axios";
import { connectInterceptor } from "@mintonce/client/connect";
import { mintonceInterceptor } from "@mintonce/client/undici";

const parts = [withMintonce, channelCredentials, attachMintonce, connectInterceptor, mintonceInterceptor];
try {
  await TokenSource.open("billing", { target: "127.0.0.1:1" });
} catch (error) {
  if (!MintonceError.is(error) || error.reason !== "UNREACHABLE" || parts.some((part) => typeof part !== "function")) throw error;
}
PROGRAM
"$NODE" use.mjs
"$NODE" -e 'const { Client } = require("@mintonce/client"); void new Client().close();'

# A strict project in TypeScript, which looks into our declarations.
cat > use.ts <<'PROGRAM'
import { Client, MintonceError, type Token, TokenSource } from "@mintonce/client";
import { withMintonce } from "@mintonce/client/fetch";

export async function use(): Promise<string> {
  await using client = new Client({ tls: { caFile: "ca.pem" }, bearerFile: false });
  await using source = await TokenSource.open("billing", { via: client, scopes: "read write" });
  const token: Token = source.token();
  const generation: bigint = token.generation;
  for await (const next of source.updates()) if (next.generation > generation) break;
  try {
    return await (await withMintonce(fetch, source)("https://api.example.com/")).text();
  } catch (error) {
    return MintonceError.is(error) ? error.remedy : String(error);
  }
}
PROGRAM
ln -s "$here/node_modules/@types" node_modules/@types
ln -s "$here/node_modules/undici-types" node_modules/undici-types
"$NODE" "$here/node_modules/typescript/bin/tsc" --noEmit --strict --module nodenext --target es2023 --lib es2024,esnext.disposable --types node --exactOptionalPropertyTypes use.ts
echo "installed and used: $(basename "$1")"
