// Asks golang.org/x/oauth2 for a token for each line on stdin, and prints a line of JSON.
//
// First {"ready": true}; then {"sha256": the first 16 hex digits of the token's SHA-256}, or
// {"error": what the user of the SDK sees, "leak": whether printing it would show the secret}. Never a token. With the argument "post" it sends the secret in the body at once;
// without, it finds out what the server takes.
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

func main() {
	config := clientcredentials.Config{
		ClientID:       os.Getenv("SDK_CLIENT_ID"),
		ClientSecret:   os.Getenv("SDK_CLIENT_SECRET"),
		TokenURL:       os.Getenv("SDK_TOKEN_URL"),
		EndpointParams: url.Values{"audience": {os.Getenv("SDK_AUDIENCE")}},
	}
	if len(os.Args) > 1 && os.Args[1] == "post" {
		config.AuthStyle = oauth2.AuthStyleInParams
	}
	source := config.TokenSource(context.Background())
	answers := json.NewEncoder(os.Stdout)
	_ = answers.Encode(map[string]any{"ready": true})
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		_ = answers.Encode(ask(source, config.ClientID, config.ClientSecret))
	}
}

func ask(source oauth2.TokenSource, id, secret string) map[string]any {
	token, err := source.Token()
	if err != nil {
		printed := fmt.Sprintf("%+v", err)
		basic := base64.StdEncoding.EncodeToString([]byte(id + ":" + secret))
		leak := strings.Contains(printed, secret) || strings.Contains(printed, basic)
		return map[string]any{"error": err.Error(), "leak": leak}
	}
	sum := sha256.Sum256([]byte(token.AccessToken))
	return map[string]any{"sha256": hex.EncodeToString(sum[:])[:16]}
}
