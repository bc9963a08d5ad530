// Package oauth2x gives a source's token to libraries that take an oauth2.TokenSource.
//
// It is a module of its own, so that the client itself does not depend on golang.org/x/oauth2.
package oauth2x

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/oauth2"

	mintonce "github.com/mintonce/mintonce/client/go"
	"github.com/mintonce/mintonce/client/go/httpauth"
)

// NewTokenSource returns the source as an oauth2.TokenSource. Its Token reads memory; it waits for a successor only when the
// token is over, for the source's timeout at most.
//
// Do not wrap it in oauth2.ReuseTokenSource, which would keep a token after it was rejected. oauth2.NewClient does just that:
// use NewHTTPClient instead.
func NewTokenSource(source *mintonce.Source) oauth2.TokenSource { return tokenSource{source} }

type tokenSource struct{ source *mintonce.Source }

func (s tokenSource) Token() (*oauth2.Token, error) {
	token, err := s.source.Token(context.Background())
	if err != nil {
		return nil, err
	}
	return &oauth2.Token{
		AccessToken: token.AccessToken(),
		TokenType:   token.Type(),
		Expiry:      time.Now().Add(token.ExpiresIn()),
		ExpiresIn:   int64(token.ExpiresIn().Seconds()),
	}, nil
}

// NewHTTPClient is oauth2.NewClient for a source: it sends the token, and after a 401 it rejects the token and repeats the
// request once. As there, a client in ctx under oauth2.HTTPClient gives the transport below.
func NewHTTPClient(ctx context.Context, source *mintonce.Source) *http.Client {
	var base http.RoundTripper
	if client, is := ctx.Value(oauth2.HTTPClient).(*http.Client); is {
		base = client.Transport
	}
	return &http.Client{Transport: &httpauth.Transport{Source: source, Base: base}}
}
