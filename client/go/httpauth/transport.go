// Package httpauth sends a source's token with HTTP requests.
//
//	client := &http.Client{Transport: &httpauth.Transport{Source: source}}
package httpauth

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	mintonce "github.com/mintonce/mintonce/client/go"
)

// maxDrained is how much of a first answer is read, in bytes, so that its connection can be used again.
const maxDrained = 64 << 10

// drainedWithin is how long it may take.
const drainedWithin = 100 * time.Millisecond

// Transport is an http.RoundTripper that sets the Authorization header of each request. It replaces one that is there.
//
// After a 401 it rejects the token and repeats the request once with the successor. A body that cannot be sent again
// (Request.GetBody is nil) is not repeated; the token is still rejected. When it cannot be replaced, the caller gets the
// API's own 401, and one warning is logged.
//
// Redirects to another origin, and what follows them, go without the header: the token is for the API that was asked.
type Transport struct {
	// Source has the token. It stays the caller's to close.
	Source *mintonce.Source
	// Base makes the requests. Nil: http.DefaultTransport.
	Base http.RoundTripper
	// Logger is where the warning goes. Nil: slog.Default().
	Logger *slog.Logger
}

// RoundTrip implements http.RoundTripper. Its errors are those of Source.Token, and of Base.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	if hasLeftOrigin(request) {
		return base.RoundTrip(request)
	}
	ctx := request.Context()
	token, err := t.Source.Token(ctx)
	if err != nil {
		closeBody(request) // as http.RoundTripper promises
		return nil, err
	}
	response, err := base.RoundTrip(with(request, token, request.Body))
	if err != nil || response.StatusCode != http.StatusUnauthorized {
		return response, err
	}
	successor, err := t.Source.Reject(ctx, token)
	if err != nil {
		if ctx.Err() != nil {
			_ = response.Body.Close()
			return nil, ctx.Err()
		}
		t.warn(err)
		return response, nil
	}
	body, ok := again(request)
	if !ok {
		return response, nil
	}
	drain(response.Body)
	return base.RoundTrip(with(request, successor, body))
}

// drain reads a short body to its end, so that its connection serves the repetition, too. It does not wait for one that
// does not come: the connection is then lost.
func drain(body io.ReadCloser) {
	late := time.AfterFunc(drainedWithin, func() { _ = body.Close() })
	_, _ = io.CopyN(io.Discard, body, maxDrained)
	late.Stop()
	_ = body.Close()
}

// CloseIdleConnections is what http.Client.CloseIdleConnections calls.
func (t *Transport) CloseIdleConnections() {
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	if closer, can := base.(interface{ CloseIdleConnections() }); can {
		closer.CloseIdleConnections()
	}
}

func (t *Transport) warn(err error) {
	logger := t.Logger
	if logger == nil {
		logger = slog.Default()
	}
	var failure *mintonce.Error
	reason := ""
	if errors.As(err, &failure) {
		reason = failure.Reason
	}
	logger.Warn("mintonce: the API answered 401, and the token could not be replaced", "reason", reason, "error", err.Error())
}

// with returns a copy of the request with our header. A RoundTripper must not change the request itself.
func with(request *http.Request, token *mintonce.Token, body io.ReadCloser) *http.Request {
	clone := request.Clone(request.Context())
	clone.Body = body
	clone.Header.Set("Authorization", token.Header())
	return clone
}

// again returns the body for a second time, and whether there is one.
func again(request *http.Request) (io.ReadCloser, bool) {
	switch {
	case request.Body == nil || request.Body == http.NoBody:
		return request.Body, true
	case request.GetBody == nil:
		return nil, false
	}
	body, err := request.GetBody()
	return body, err == nil
}

func closeBody(request *http.Request) {
	if request.Body != nil {
		_ = request.Body.Close()
	}
}

// hasLeftOrigin reports whether redirects have led to another origin, even if they led back. net/http links each redirected
// request with the answer that caused it.
func hasLeftOrigin(request *http.Request) bool {
	for at := request; at.Response != nil && at.Response.Request != nil; at = at.Response.Request {
		if origin(at.URL) != origin(at.Response.Request.URL) {
			return true
		}
	}
	return false
}

func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + u.Hostname() + ":" + port
}
