// Command go is an example service: it follows a shared token and says when there is a new one. It never prints the token.
//
//	go run . CLIENT [AUDIENCE [SCOPE…]]
//
// How to connect is in the MINTONCE_* variables. A line "reject" on stdin reports that an API refused the token.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"time"

	mintonce "github.com/mintonce/mintonce/client/go"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 2 {
		log.Fatal("usage: go run . CLIENT [AUDIENCE [SCOPE…]]")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1], os.Args[2:], os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, client string, rest []string, in io.Reader, out io.Writer) error {
	options := []mintonce.SourceOption{mintonce.WithWaitForServer(10 * time.Second)}
	if len(rest) > 0 {
		options = append(options, mintonce.WithAudience(rest[0]), mintonce.WithScopes(rest[1:]...))
	}
	source, err := mintonce.NewSource(ctx, client, options...)
	if err != nil {
		return err
	}
	defer source.Close()

	lines := make(chan string)
	go func() { // reading stdin cannot be interrupted: this ends with the program
		defer close(lines)
		for scanner := bufio.NewScanner(in); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()

	show(source, out)
	for {
		select {
		case <-source.Updated():
			show(source, out)
		case line, more := <-lines:
			if !more {
				return nil
			}
			if line == "reject" {
				reject(ctx, source, out)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func show(source *mintonce.Source, out io.Writer) {
	token, err := source.Peek()
	if err != nil {
		fmt.Fprintln(out, err)
		return
	}
	fmt.Fprintf(out, "generation %d, %s left\n", token.Generation(), token.ExpiresIn().Round(time.Second))
}

func reject(ctx context.Context, source *mintonce.Source, out io.Writer) {
	token, err := source.Token(ctx)
	if err == nil {
		_, err = source.Reject(ctx, token)
	}
	if err != nil {
		fmt.Fprintln(out, err) // the token stays in use
		return
	}
	fmt.Fprintf(out, "generation %d was rejected\n", token.Generation())
}
