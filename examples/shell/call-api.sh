#!/bin/sh
# Calls an API with a shared token: sh call-api.sh CLIENT AUDIENCE URL
# Needs `mintonce` and curl. The server's address is in MINTONCE_TARGET, as HOST:PORT.
set -eu
client=$1 audience=$2 url=$3

# The token goes to curl by standard input: other users of the machine can read arguments.
call() { printf 'header = "Authorization: Bearer %s"\n' "$token" | curl --silent --show-error --config - --write-out '\n%{http_code}' "$url"; }

token=$(mintonce get "$client" "$audience")
answer=$(call)
if [ "$(printf '%s\n' "$answer" | tail -n 1)" = 401 ]; then
  # The API refused the token before its expiry. No caller in the fleet gets it any more.
  printf '%s' "$token" | mintonce reject "$client" "$audience" --token-stdin >&2
  token=$(mintonce get "$client" "$audience")
  answer=$(call)
fi
printf '%s\n' "$answer" | sed '$d'
[ "$(printf '%s\n' "$answer" | tail -n 1)" = 200 ]
