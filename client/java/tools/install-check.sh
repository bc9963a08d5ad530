#!/bin/sh
# Installs by exactly the command of the README, into a Maven repository of its own, and runs a program
# outside this checkout that uses it.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
root=$(cd "$here/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

command=$(sed -n '/^mvn -q -f client\/java/p' "$here/README.md")
[ -n "$command" ] || { echo "the README has no install command" >&2; exit 1; }
# What was downloaded before is used; what this checkout installs goes into the scratch folder.
repository=${MAVEN_REPOSITORY:-$HOME/.m2/repository}
mkdir -p "$scratch/repository"
cp -al "$repository/." "$scratch/repository/" 2>/dev/null || cp -a "$repository/." "$scratch/repository/"
rm -rf "$scratch/repository/io/mintonce"
(cd "$root" && sh -c "$command -B -Dmaven.repo.local=$scratch/repository")

cp -r "$root/examples/java" "$scratch/example"
cd "$scratch/example"
rm -rf target
mvn -q -B -Dmaven.repo.local="$scratch/repository" package
# Nothing listens there: the program runs, and says so.
if MINTONCE_TARGET=127.0.0.1:1 java -cp 'target/classes:target/lib/*' \
    io.mintonce.example.FollowToken billing https://api.example.com/ 2>"$scratch/said" </dev/null; then
  echo "the program should have failed" >&2
  exit 1
fi
grep -q "nothing listens there" "$scratch/said" || { cat "$scratch/said" >&2; exit 1; }
echo "installed, built and run"
