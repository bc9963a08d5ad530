package mintonce_test

import (
	"errors"
	"testing"
	"time"

	mintonce "github.com/mintonce/mintonce/client/go"
	"github.com/mintonce/mintonce/client/go/internal/scripted"
)

// open makes a source that ends with the test.
func open(t *testing.T, server *scripted.Server, options ...mintonce.SourceOption) *mintonce.Source {
	t.Helper()
	options = append([]mintonce.SourceOption{mintonce.WithTarget(server.Target())}, options...)
	source, err := mintonce.NewSource(t.Context(), "billing", options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = source.Close() })
	return source
}

func dial(t *testing.T, server *scripted.Server, options ...mintonce.ClientOption) *mintonce.Client {
	t.Helper()
	client, err := mintonce.NewClient(append([]mintonce.ClientOption{mintonce.WithTarget(server.Target())}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func get(t *testing.T, source *mintonce.Source) *mintonce.Token {
	t.Helper()
	token, err := source.Token(t.Context())
	if err != nil {
		t.Error(err)
	}
	return token
}

func asError(t *testing.T, err error) *mintonce.Error {
	t.Helper()
	var failure *mintonce.Error
	if !errors.As(err, &failure) {
		t.Fatalf("%v is no *mintonce.Error", err)
	}
	return failure
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("not in 20 s: %s", what)
}
