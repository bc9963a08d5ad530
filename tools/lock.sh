#!/bin/sh
# Pins every dependency, with hashes, into requirements/. Called by `make lock`, which names a Python in $PYTHON.
# One resolution (dev.txt) constrains the others, so that one .venv can hold them in any order.
set -eu
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$PYTHON" -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip install -q --disable-pip-version-check "uv>=0.9"

pin() { # NAME ARGUMENTS…
  name=$1
  shift
  pin_file "requirements/$name.txt" "$@"
}

pin_file() { # FILE ARGUMENTS…
  file=$1
  shift
  echo "  $file"
  "$scratch/venv/bin/uv" pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --no-annotate --custom-compile-command "make lock" ${UPGRADE:+--upgrade} --output-file "$file" "$@"
}

pin dev pyproject.toml --extra dev --extra httpx --extra requests --extra tracing --group build --group test --group lint --group bench
grep -v -- '--hash' requirements/dev.txt | sed 's/ \\$//' >"$scratch/same-versions.txt"
pin run pyproject.toml --extra dev --group build -c "$scratch/same-versions.txt"
pin server pyproject.toml --extra server -c "$scratch/same-versions.txt"
pin build --group build -c "$scratch/same-versions.txt"
pin gen --group gen
pin docs --group docs
pin deploy --group deploy -c "$scratch/same-versions.txt"
pin_file verification/interop/issuers/authlib_app/requirements.txt verification/interop/issuers/authlib_app/requirements.in
pin_file verification/interop/sdks/python/requirements.txt verification/interop/sdks/python/requirements.in
