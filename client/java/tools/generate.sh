#!/bin/sh
# Generates the stubs from ../../protos into the folder that is given. Maven fetches the compilers.
# The oldest protoc that is supported: what it generates runs with every newer protobuf-java.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
out=$1
protoc_version=3.25.8
grpc_version=1.79.0

case "$(uname -s)-$(uname -m)" in
  Linux-x86_64) platform=linux-x86_64 ;;
  Linux-aarch64) platform=linux-aarch_64 ;;
  Darwin-*) platform=osx-aarch_64 ;;
  *) echo "no protoc is published for this machine" >&2; exit 1 ;;
esac

tools="$here/.tools/protoc-$protoc_version-$grpc_version"
if [ ! -e "$tools/.installed" ]; then
  mkdir -p "$tools"
  get() {
    mvn -q -B -f "$here/tools/empty.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
      -Dartifact="$1" -DoutputDirectory="$tools" -Dmdep.stripVersion=true -Dmdep.overWriteReleases=true
  }
  get "com.google.protobuf:protoc:$protoc_version:exe:$platform"
  get "io.grpc:protoc-gen-grpc-java:$grpc_version:exe:$platform"
  get "com.google.protobuf:protobuf-java:$protoc_version"
  (cd "$tools" && jar xf protobuf-java.jar google/protobuf/duration.proto google/protobuf/timestamp.proto)
  chmod +x "$tools/protoc-$platform.exe" "$tools/protoc-gen-grpc-java-$platform.exe"
  touch "$tools/.installed"
fi

mkdir -p "$out"
cd "$here/../../protos"
"$tools/protoc-$platform.exe" -I . -I "$tools" \
  --plugin=protoc-gen-grpc="$tools/protoc-gen-grpc-java-$platform.exe" \
  --java_out="$out" --grpc_out=@generated=omit:"$out" \
  mintonce/v1/types.proto mintonce/v1/tokens.proto mintonce/v1/admin.proto
