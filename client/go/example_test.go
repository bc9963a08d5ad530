package mintonce_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"testing"
	"time"

	mintonce "github.com/mintonce/mintonce/client/go"
	"github.com/mintonce/mintonce/client/go/internal/scripted"
)

// startServer is a practice server for the examples. A real program sets MINTONCE_TARGET.
func startServer() (target string, stop func()) {
	server, stop := scripted.NewOutsideTests()
	return server.Target(), stop
}

func ExampleNewSource() {
	target, stop := startServer()
	defer stop()

	// The context bounds only the first fetch. Close ends the source.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	source, err := mintonce.NewSource(ctx, "billing",
		mintonce.WithTarget(target), mintonce.WithAudience("https://api.example.com/"), mintonce.WithScopes("read write"))
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()

	token, err := source.Token(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.Generation(), token.Type(), len(token.Header()))
	// Output: 101 Bearer 17
}

func ExampleSource_Reject() {
	target, stop := startServer()
	defer stop()
	ctx := context.Background()
	source, err := mintonce.NewSource(ctx, "billing", mintonce.WithTarget(target))
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()

	token, err := source.Token(ctx)
	if err != nil {
		log.Fatal(err)
	}
	// The API answered 401.
	successor, err := source.Reject(ctx, token)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.Generation(), "was replaced by", successor.Generation())
	// Output: 101 was replaced by 102
}

func ExampleSource_WaitUntilUpdated() {
	target, stop := startServer()
	defer stop()
	ctx := context.Background()
	source, err := mintonce.NewSource(ctx, "billing", mintonce.WithTarget(target))
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()
	client, err := mintonce.NewClient(mintonce.WithTarget(target))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	token, err := source.Token(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := client.Rotate(ctx, mintonce.Key{Client: "billing"}); err != nil {
		log.Fatal(err)
	}
	newer, err := source.WaitUntilUpdated(ctx, token)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(newer.Generation())
	// Output: 102
}

func ExampleClient_Watch() {
	target, stop := startServer()
	defer stop()
	client, err := mintonce.NewClient(mintonce.WithTarget(target))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	for token, err := range client.Watch(context.Background(), mintonce.Key{Client: "billing"}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(token.Generation())
		break
	}
	// Output: 101
}

func ExampleError() {
	nobody, err := net.Listen("tcp", "127.0.0.1:0") // a port where nobody will listen
	if err != nil {
		log.Fatal(err)
	}
	target := nobody.Addr().String()
	_ = nobody.Close()

	_, err = mintonce.NewSource(context.Background(), "billing", mintonce.WithTarget(target))
	var failure *mintonce.Error
	if errors.As(err, &failure) && errors.Is(err, mintonce.ErrUnavailable) {
		fmt.Println("try again later:", failure.Reason)
	}
	// Output: try again later: UNREACHABLE
}

func BenchmarkToken(b *testing.B) {
	server := scripted.New(b)
	source, err := mintonce.NewSource(b.Context(), "billing", mintonce.WithTarget(server.Target()))
	if err != nil {
		b.Fatal(err)
	}
	defer source.Close()
	ctx := b.Context()
	for b.Loop() {
		if token, err := source.Token(ctx); token == nil || err != nil {
			b.Fatal(err)
		}
	}
}
