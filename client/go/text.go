package mintonce

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxShown = 100  // characters of a target
	maxText  = 2000 // characters of a server's message or remedy
	maxName  = 64   // characters of a reason
)

// visible makes a text from a server fit for logs and terminals: what a terminal would obey is escaped, and what is longer
// than limit characters is cut, with dots then.
func visible(text string, limit int) string {
	var out strings.Builder
	count := 0
	for _, r := range text {
		if strconv.IsPrint(r) && r != utf8.RuneError {
			out.WriteRune(r)
		} else {
			quoted := strconv.QuoteRuneToASCII(r)
			out.WriteString(quoted[1 : len(quoted)-1])
		}
		if count++; count > limit {
			break
		}
	}
	if shown := []rune(out.String()); len(shown) > limit {
		return string(shown[:limit-3]) + "..."
	}
	return out.String()
}

// sendable refuses text that no protobuf message can hold, without showing it.
func sendable(what, value string) error {
	if utf8.ValidString(value) {
		return nil
	}
	return invalid("the "+what+" is not text in UTF-8", "Write the "+what+" as UTF-8.")
}
