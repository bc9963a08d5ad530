package mintonce

import "strings"

// looksSecret reports whether a text that was given as a path or a target may be a key or a token. No message shows it
// then. A secret in a file ends with a new line; no path and no target has one.
func looksSecret(text string) bool {
	return strings.HasPrefix(text, "mok_") || // an API key of mintonced
		strings.HasPrefix(text, "eyJ") || // a JWT
		strings.Contains(text, "-----BEGIN") || strings.Contains(text, "PRIVATE KEY") || // PEM
		strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}
