#!/bin/sh
# Prints the cost of a token read, the best of three runs, beside that of golang.org/x/oauth2, as one line of JSON.
set -eu
cd oauth2x
go test -run '^$' -bench 'Token' -benchtime 1s -count 3 . | awk '
    /^BenchmarkMintonceToken/         { if (!ours || $3 < ours) ours = $3 }
    /^BenchmarkOAuth2ReuseTokenSource/ { if (!peer || $3 < peer) peer = $3 }
    END {
        if (!ours || !peer) exit 1
        printf "{\"language\": \"go\", \"read_ns\": %s, \"peer\": \"golang.org/x/oauth2 ReuseTokenSource\", \"peer_read_ns\": %s}\n", ours, peer
    }'
