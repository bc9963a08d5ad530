package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"time"

	rpccode "google.golang.org/genproto/googleapis/rpc/code"

	mintonce "github.com/mintonce/mintonce/client/go"
)

// request is a line of stdin. Absent fields are nil, so that the client's defaults decide.
type request struct {
	ID     float64  `json:"id"`
	Op     string   `json:"op"`
	Source string   `json:"source"`
	Conn   string   `json:"conn"`
	Via    *string  `json:"via"`
	Client string   `json:"client"`
	Aud    string   `json:"audience"`
	Scopes []string `json:"scopes"`

	Target          *string  `json:"target"`
	TLS             any      `json:"tls"`
	BearerFile      any      `json:"bearer_file"`
	APIKeyFile      *string  `json:"api_key_file"`
	TimeoutMS       *float64 `json:"timeout_ms"`
	WaitForServerMS *float64 `json:"wait_for_server_ms"`

	Count      int      `json:"count"`
	Generation *int64   `json:"generation"`
	Than       int64    `json:"than"`
	MinTTL     *float64 `json:"min_ttl_ms"`
	SHA256     *string  `json:"sha256"`
	PageSize   int32    `json:"page_size"`
	PageToken  string   `json:"page_token"`
	N          int      `json:"n"`
	Of         any      `json:"of"`
	Adapter    string   `json:"adapter"`
	Method     string   `json:"method"`
	URL        string   `json:"url"`
	Body       *struct {
		Text   *string `json:"text"`
		Stream *string `json:"stream"`
	} `json:"body"`
}

func (r *request) key() mintonce.Key {
	return mintonce.Key{Client: r.Client, Audience: r.Aud, Scopes: r.Scopes}
}

// answer is a line of stdout.
type answer map[string]any

func ok(value any) answer { return answer{"ok": value} }

// fault is an error of the testee's own, with its class.
type fault struct{ class, message string }

func (f fault) Error() string { return f.message }

func unsupported(what string) answer { return failed(fault{"Unsupported", what}) }

func failed(err error) answer { return answer{"error": describe(err)} }

func describe(err error) map[string]any {
	var own fault
	var failure *mintonce.Error
	switch {
	case errors.As(err, &own):
		return map[string]any{"class": own.class, "message": own.message}
	case errors.As(err, &failure):
		return describeError(failure)
	case errors.Is(err, context.Canceled):
		return map[string]any{"class": "Cancelled", "message": err.Error()}
	case strings.HasPrefix(err.Error(), "mintonce: "):
		return map[string]any{"class": "Usage", "message": err.Error()} // no *Error: a mistake in the arguments
	}
	return map[string]any{"class": "Testee", "message": reflect.TypeOf(err).String() + ": " + err.Error()}
}

func describeError(failure *mintonce.Error) map[string]any {
	described := map[string]any{
		"class": classOf(failure), "reason": failure.Reason, "message": failure.Message, "remedy": failure.Remedy,
		"retry_after_ms": nil, "code": rpccode.Code(failure.Code).String(), "issuer_error": failure.IssuerError,
		"request_id": failure.RequestID,
	}
	if failure.RetryAfter > 0 {
		described["retry_after_ms"] = milliseconds(failure.RetryAfter)
	}
	for _, cause := range failure.Unwrap() {
		var led *mintonce.Error
		if errors.As(cause, &led) {
			described["cause"] = describeError(led)
			break
		}
	}
	return described
}

func classOf(failure *mintonce.Error) string {
	switch {
	case errors.Is(failure, mintonce.ErrClosed) && failure.Reason == "CLOSED":
		return "Closed"
	case failure.Is(mintonce.ErrExpired):
		return "TokenExpired"
	case failure.Is(mintonce.ErrUnreachable):
		return "Unreachable"
	case failure.Is(mintonce.ErrUnavailable):
		return "Unavailable"
	case failure.Is(mintonce.ErrRefused):
		return "Refused"
	}
	return "Other"
}

func describeToken(token *mintonce.Token) map[string]any {
	text, header := token.Fingerprint(), sha256.Sum256([]byte(token.Header()))
	return map[string]any{
		"generation": token.Generation(), "sha256": hex.EncodeToString(text[:]), "header_sha256": hex.EncodeToString(header[:]),
		"live": token.Live(), "remaining_ms": milliseconds(token.ExpiresIn()), "refresh_ms": milliseconds(token.RefreshIn()),
		"degraded": token.Degraded(), "origin": string(token.Origin()), "scopes": append([]string{}, token.Scopes()...),
		"type": token.Type(),
	}
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }
