package mintonce_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	mintonce "github.com/mintonce/mintonce/client/go"
	"github.com/mintonce/mintonce/client/go/internal/scripted"
)

func TestOpenBringsTheFirstTokenByOneCall(t *testing.T) {
	server := scripted.New(t)
	source := open(t, server)
	token := get(t, source)
	if token.Header() != "Bearer secret-101" || token.Generation() != 101 || token.Origin() != mintonce.OriginMint {
		t.Errorf("got %v with another header", token)
	}
	for range 10_000 {
		get(t, source)
	}
	if calls := server.Calls(scripted.Get); calls != 1 {
		t.Errorf("%d calls", calls)
	}
}

func TestAFailedOpenLeavesNothingBehind(t *testing.T) {
	server := scripted.New(t)
	server.Fail(scripted.Get, scripted.Failure(codes.NotFound, "UNKNOWN_CLIENT", 0))
	before := runtime.NumGoroutine()
	_, err := mintonce.NewSource(t.Context(), "billing", mintonce.WithTarget(server.Target()))
	failure := asError(t, err)
	if !errors.Is(err, mintonce.ErrRefused) || failure.Remedy != "Mend it." || failure.RequestID != "r-1" ||
		failure.Reason != "UNKNOWN_CLIENT" || failure.Code != codes.NotFound {
		t.Errorf("got %#v", failure)
	}
	eventually(t, "the goroutines end", func() bool { return runtime.NumGoroutine() <= before+3 }) // the server has some
}

func TestNobodyListens(t *testing.T) {
	server := scripted.New(t)
	server.Stop()
	_, err := mintonce.NewSource(t.Context(), "billing", mintonce.WithTarget(server.Target()))
	failure := asError(t, err)
	if !errors.Is(err, mintonce.ErrUnreachable) || !errors.Is(err, mintonce.ErrUnavailable) ||
		!strings.Contains(failure.Remedy, server.Target()) {
		t.Errorf("got %v", err)
	}
}

func TestOpenWaitsForAServerThatIsNotThereYet(t *testing.T) {
	server := scripted.New(t)
	server.Stop()
	opened := make(chan error, 1)
	go func() {
		source, err := mintonce.NewSource(t.Context(), "billing", mintonce.WithTarget(server.Target()),
			mintonce.WithWaitForServer(time.Minute))
		if err == nil {
			err = source.Close()
		}
		opened <- err
	}()
	select {
	case err := <-opened:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(time.Second):
	}
	server.Start()
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

func TestOpenThatWaitsEndsAtAnyOtherError(t *testing.T) {
	server := scripted.New(t)
	server.Fail(scripted.Get, scripted.Failure(codes.PermissionDenied, "PERMISSION_DENIED", 0))
	_, err := mintonce.NewSource(t.Context(), "billing", mintonce.WithTarget(server.Target()),
		mintonce.WithWaitForServer(time.Hour))
	if !errors.Is(err, mintonce.ErrRefused) || server.Calls(scripted.Get) != 1 {
		t.Errorf("got %v after %d calls", err, server.Calls(scripted.Get))
	}
}

func TestOpenThatWaitsEndsWithItsContext(t *testing.T) {
	server := scripted.New(t)
	server.Stop()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	_, err := mintonce.NewSource(ctx, "billing", mintonce.WithTarget(server.Target()), mintonce.WithWaitForServer(time.Hour))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestOpenThatWaitsGivesUp(t *testing.T) {
	server := scripted.New(t)
	server.Stop()
	_, err := mintonce.NewSource(t.Context(), "billing", mintonce.WithTarget(server.Target()),
		mintonce.WithWaitForServer(300*time.Millisecond))
	if !errors.Is(err, mintonce.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}
