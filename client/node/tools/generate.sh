#!/bin/sh
# Writes TypeScript for protos/ into the folder $1. The environment of `make gen` at the root has protoc.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
root=$(cd "$here/../.." && pwd)
mkdir -p "$1"
plugin=$(mktemp)
trap 'rm -f "$plugin"' EXIT
# A wrapper, since the plugin's first line looks for node on the PATH.
printf '#!/bin/sh\nexec "%s" "%s"\n' "$NODE" "$here/node_modules/@bufbuild/protoc-gen-es/bin/protoc-gen-es" > "$plugin"
chmod +x "$plugin"
"$root/.venv-gen/bin/python" -m grpc_tools.protoc "-I$root/protos" "--plugin=protoc-gen-es=$plugin" \
  --es_out="$1" --es_opt=target=ts,import_extension=ts,erasable_syntax=true \
  mintonce/v1/types.proto mintonce/v1/tokens.proto mintonce/v1/admin.proto
