#!/bin/sh
# Runs govulncheck, and says so when its database cannot be reached: that is no fault of the code.
set -u
found=0
for module in . oauth2x; do
    output=$(cd "$module" && "$1" ./... 2>&1)
    case $? in
        0) echo "govulncheck: $module has no known vulnerabilities" ;;
        3) echo "$output"; found=1 ;;
        *)
            case $output in
                *"vuln.go.dev"* | *"fetching vulnerabilities"* | *"dial tcp"*)
                    echo "govulncheck: left out for $module, its database cannot be reached" ;;
                *) echo "$output"; found=1 ;;
            esac ;;
    esac
done
exit $found
