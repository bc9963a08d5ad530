package oauth2x_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/oauth2"

	mintonce "github.com/mintonce/mintonce/client/go"
	"github.com/mintonce/mintonce/client/go/internal/scripted"
	"github.com/mintonce/mintonce/client/go/oauth2x"
)

func open(t testing.TB) (*mintonce.Source, *scripted.Server) {
	server := scripted.New(t)
	source, err := mintonce.NewSource(t.Context(), "billing", mintonce.WithTarget(server.Target()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = source.Close() })
	return source, server
}

func TestItGivesTheToken(t *testing.T) {
	source, _ := open(t)
	token, err := oauth2x.NewTokenSource(source).Token()
	if err != nil || token.AccessToken != "secret-101" || token.Type() != "Bearer" || !token.Valid() {
		t.Fatalf("got another token, or %v", err)
	}
	if left := time.Until(token.Expiry); left > time.Hour || left < 59*time.Minute {
		t.Errorf("it expires in %v", left)
	}
}

func TestARejectedTokenIsNotKept(t *testing.T) {
	source, _ := open(t)
	adapted := oauth2x.NewTokenSource(source)
	first, _ := source.Peek()
	if _, err := source.Reject(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if token, err := adapted.Token(); err != nil || token.AccessToken != "secret-102" {
		t.Errorf("it gives another one, or %v", err)
	}
}

func TestAClosedSourceSaysSo(t *testing.T) {
	source, _ := open(t)
	_ = source.Close()
	if _, err := oauth2x.NewTokenSource(source).Token(); !errors.Is(err, mintonce.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestTheHTTPClientRepeatsAfterA401(t *testing.T) {
	source, server := open(t)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret-102" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer api.Close()
	for _, ctx := range []context.Context{t.Context(), context.WithValue(t.Context(), oauth2.HTTPClient, api.Client())} {
		response, err := oauth2x.NewHTTPClient(ctx, source).Get(api.URL)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != 200 || server.Calls(scripted.Reject) != 1 {
			t.Errorf("got %d after %d rejections", response.StatusCode, server.Calls(scripted.Reject))
		}
	}
}

// The peer: the same read by oauth2.ReuseTokenSource, which is what oauth2's own clients use.

func BenchmarkMintonceToken(b *testing.B) {
	source, _ := open(b)
	ctx := context.Background()
	for b.Loop() {
		if token, err := source.Token(ctx); err != nil || token == nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOAuth2ReuseTokenSource(b *testing.B) {
	source := oauth2.ReuseTokenSource(nil, oauth2.StaticTokenSource(&oauth2.Token{
		AccessToken: "secret", Expiry: time.Now().Add(time.Hour),
	}))
	for b.Loop() {
		if token, err := source.Token(); err != nil || token == nil {
			b.Fatal(err)
		}
	}
}
