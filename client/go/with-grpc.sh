#!/bin/sh
# with-grpc.sh VERSION COMMAND…: runs a command in a copy of the module that requires that version of grpc-go.
set -eu
version=$1
shift
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir -p "$copy/client"
cp -R . "$copy/client/go"
[ ! -d ../../conformance/follower ] || { mkdir "$copy/conformance" && cp -R ../../conformance/follower "$copy/conformance/"; }
cd "$copy/client/go"
go get "google.golang.org/grpc@$version" "google.golang.org/protobuf@latest" 2>/dev/null
go mod tidy 2>/dev/null
go list -m google.golang.org/grpc google.golang.org/protobuf
"$@"
