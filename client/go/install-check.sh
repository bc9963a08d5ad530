#!/bin/sh
# Does what the README says to install the client from a checkout, in a folder outside of the repository, and runs its program.
set -eu
here=$(pwd)
root=$(cd ../.. && pwd)
scratch=$(mktemp -d)
trap 'chmod -R u+w "$scratch"; rm -rf "$scratch"' EXIT
# block KIND: the first code block of that kind after the heading "## Install" or "## Use"
block() { awk -v kind="$1" -v part="$2" '$0 == "## " part { on = 1 } on && $0 == "```" && inside { exit } inside { print } on && $0 == "```" kind { inside = 1 }' README.md; }
block sh Install | sed "s|/path/to/mintonce|$root|g" > "$scratch/install.sh"
block go Use > "$scratch/main.go"
test -s "$scratch/install.sh" && test -s "$scratch/main.go"
cd "$scratch"
mkdir try
mv main.go try/
cd try
sh -eux ../install.sh
go build -o try .
# Nobody listens there: the program must say so, and how to mend it.
if output=$(MINTONCE_TARGET=127.0.0.1:1 ./try 2>&1); then
    echo "it worked without a server: $output"
    exit 1
fi
case $output in
    *"cannot reach mintonced at 127.0.0.1:1: nothing listens there (UNREACHABLE)"*) echo "installed from $here, and it runs" ;;
    *) echo "$output"; exit 1 ;;
esac
