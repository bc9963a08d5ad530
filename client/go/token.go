package mintonce

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

const mask = "[redacted]"

// base is the zero of this process's monotonic clock. All instants inside the package are counted from it.
var base = time.Now()

// now is the monotonic time in seconds since base.
func now() float64 { return time.Since(base).Seconds() }

// Origin says where the server had a token from.
type Origin string

// The origins. A value that this version does not know counts as OriginUnknown.
const (
	OriginUnknown Origin = "unknown"
	OriginMemory  Origin = "memory" // the memory of the replica that answered
	OriginStore   Origin = "store"  // the store: another replica, or an earlier run, minted it
	OriginMint    Origin = "mint"   // the issuer: it was minted for this call
)

// Token is an access token. It does not change, so it may be shared by goroutines.
//
// Only [Token.AccessToken] and [Token.Header] give the text. Every printing path shows [redacted] in its place: fmt,
// slog, encoding/json, and printers that look into structs by reflection.
type Token struct {
	// A function keeps the text out of reach of printers that follow pointers and unexported fields.
	text   func() string
	header func() string

	tokenType  string
	scopes     []string
	generation int64
	expiresAt  float64 // seconds since base
	refreshAt  float64 // seconds since base
	expireTime time.Time
	origin     Origin
	degraded   bool
}

func newToken(text, tokenType string) *Token {
	// Resource servers compare the scheme without regard to case (RFC 9110, section 11.1), but not all know that.
	scheme := tokenType
	if scheme == "" || strings.EqualFold(scheme, "bearer") {
		scheme = "Bearer"
	}
	header := scheme + " " + text
	return &Token{
		text:      func() string { return text },
		header:    func() string { return header },
		tokenType: tokenType,
	}
}

// AccessToken returns the secret text (RFC 6750).
func (t *Token) AccessToken() string { return t.text() }

// Header returns the value of an Authorization header, such as "Bearer …". It is as secret as the text.
func (t *Token) Header() string { return t.header() }

// Type returns the token type as the issuer named it, normally "Bearer".
func (t *Token) Type() string { return t.tokenType }

// Scopes returns what the issuer granted, sorted.
func (t *Token) Scopes() []string { return slices.Clone(t.scopes) }

// Generation returns a number that rises with every new token of the key, across the fleet.
func (t *Token) Generation() int64 { return t.generation }

// ExpiresIn returns the remaining lifetime. It is zero or negative when the token is over. It is counted on the
// monotonic clock from before the call was sent, so it never comes late, whatever the wall clock of this host says.
func (t *Token) ExpiresIn() time.Duration { return duration(t.expiresAt - now()) }

// RefreshIn returns the time until the server mints a successor. It is zero or negative when that is due.
func (t *Token) RefreshIn() time.Duration { return duration(t.refreshAt - now()) }

// ExpireTime returns the expiry by the clock of the server's store. It is for people, not for arithmetic.
func (t *Token) ExpireTime() time.Time { return t.expireTime }

// Origin says where the server had the token from.
func (t *Token) Origin() Origin { return t.origin }

// Degraded reports that the token is live, but with less life left than the server wants: the issuer or the store fails.
func (t *Token) Degraded() bool { return t.degraded }

// Live reports whether the token has not expired. It does not know of rejections: [Source.Peek] does.
func (t *Token) Live() bool { return now() < t.expiresAt }

// Fingerprint returns the SHA-256 of the text. It tells tokens apart without showing them.
func (t *Token) Fingerprint() [sha256.Size]byte { return sha256.Sum256([]byte(t.text())) }

// Equal reports whether both are the same token, as the server described it in one answer.
func (t *Token) Equal(other *Token) bool {
	if t == nil || other == nil {
		return t == other
	}
	return t.text() == other.text() && t.tokenType == other.tokenType && slices.Equal(t.scopes, other.scopes) &&
		t.generation == other.generation && t.expiresAt == other.expiresAt && t.refreshAt == other.refreshAt &&
		t.expireTime.Equal(other.expireTime) && t.origin == other.origin && t.degraded == other.degraded
}

// String describes the token without its text.
func (t *Token) String() string {
	if t == nil {
		return "Token(nil)"
	}
	return fmt.Sprintf("Token(access_token=%s, generation=%d, expires_in=%s, scopes=%q, origin=%s, degraded=%t)",
		mask, t.generation, t.ExpiresIn().Round(time.Second), t.scopes, t.origin, t.degraded)
}

// GoString is [Token.String], for %#v.
func (t *Token) GoString() string { return t.String() }

// Format prints [Token.String] for every verb.
func (t *Token) Format(state fmt.State, verb rune) {
	text := t.String()
	if verb == 'q' {
		text = strconv.Quote(text)
	}
	_, _ = io.WriteString(state, text)
}

// LogValue describes the token to slog without its text.
func (t *Token) LogValue() slog.Value {
	if t == nil {
		return slog.StringValue(t.String())
	}
	return slog.GroupValue(
		slog.String("access_token", mask),
		slog.Int64("generation", t.generation),
		slog.Duration("expires_in", t.ExpiresIn()),
		slog.Any("scopes", t.scopes),
		slog.String("origin", string(t.origin)),
		slog.Bool("degraded", t.degraded),
	)
}

// MarshalJSON describes the token without its text.
func (t *Token) MarshalJSON() ([]byte, error) {
	if t == nil {
		return []byte("null"), nil
	}
	return json.Marshal(struct {
		AccessToken string   `json:"access_token"`
		Generation  int64    `json:"generation"`
		ExpiresIn   float64  `json:"expires_in"`
		Scopes      []string `json:"scopes"`
		Origin      Origin   `json:"origin"`
		Degraded    bool     `json:"degraded"`
	}{mask, t.generation, t.ExpiresIn().Seconds(), t.scopes, t.origin, t.degraded})
}

// MarshalText describes the token without its text, for encoders of YAML, TOML and XML.
func (t *Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// duration converts seconds. What a Duration cannot hold becomes the longest one.
func duration(seconds float64) time.Duration {
	const limit = float64(math.MaxInt64) / 1e9
	switch {
	case seconds >= limit:
		return math.MaxInt64
	case seconds <= -limit:
		return math.MinInt64
	}
	return time.Duration(seconds * 1e9)
}
