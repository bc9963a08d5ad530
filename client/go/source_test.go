package mintonce_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	mintonce "github.com/mintonce/mintonce/client/go"
	"github.com/mintonce/mintonce/client/go/internal/scripted"
	pb "github.com/mintonce/mintonce/client/go/mintoncev1"
)

func TestASuccessorComesThroughTheWatch(t *testing.T) {
	server := scripted.New(t)
	source := open(t, server)
	token := get(t, source)
	server.Publish()
	newer, err := source.WaitUntilUpdated(t.Context(), token)
	if err != nil || newer.Generation() != 102 {
		t.Fatalf("got %v, %v", newer, err)
	}
	if got := get(t, source); got != newer {
		t.Errorf("got %v", got)
	}
	select {
	case <-source.Updated():
	default:
		t.Error("Updated says nothing")
	}
	if calls := server.Calls(scripted.Get); calls != 1 {
		t.Errorf("%d calls of GetToken", calls)
	}
}

func TestWithoutWatchesItFetches(t *testing.T) {
	server := scripted.New(t)
	server.Fail(scripted.Watch, status.Error(codes.Unimplemented, "no watches here"))
	server.Lives(2*time.Second, 300*time.Millisecond)
	server.Publish()
	source := open(t, server)
	token := get(t, source)
	server.Publish()
	newer, err := source.WaitUntilUpdated(t.Context(), token)
	if err != nil || newer.Generation() != token.Generation()+1 {
		t.Fatalf("got %v, %v", newer, err)
	}
	if calls := server.Calls(scripted.Watch); calls != 1 {
		t.Errorf("%d watches", calls)
	}
}

func TestALowerGenerationCountsOnlyWhenNothingLives(t *testing.T) {
	server := scripted.New(t)
	server.Lives(1500*time.Millisecond, 1400*time.Millisecond)
	server.Publish() // 102
	source := open(t, server)
	eventually(t, "it watches", func() bool { return server.Watching() == 1 })
	server.Lives(time.Hour, time.Hour)
	server.PublishGeneration(50)
	for {
		token, err := source.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if token.Generation() == 50 {
			break
		}
		if !token.Live() && token.ExpiresIn() < -50*time.Millisecond {
			t.Fatalf("%v is served past its end", token)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestAPushOfARejectedGenerationIsIgnored(t *testing.T) {
	server := scripted.New(t)
	source := open(t, server)
	newer, err := source.Reject(t.Context(), get(t, source))
	if err != nil {
		t.Fatal(err)
	}
	server.PublishGeneration(101)
	eventually(t, "it watches", func() bool { return server.Watching() == 1 })
	if got := get(t, source); got != newer {
		t.Errorf("got %v", got)
	}
}

func TestTheTokenIsServedToItsEndWithoutAServer(t *testing.T) {
	server := scripted.New(t)
	server.Lives(1500*time.Millisecond, time.Second)
	server.Publish()
	source := open(t, server)
	token := get(t, source)
	server.Stop()
	for {
		got, err := source.Token(t.Context())
		if err != nil {
			if token.Live() {
				t.Fatalf("%v while the token lives", err)
			}
			failure := asError(t, err)
			var cause *mintonce.Error
			if !errors.Is(err, mintonce.ErrExpired) || len(failure.Unwrap()) == 0 ||
				!errors.As(failure.Unwrap()[0], &cause) || cause.Reason != "UNREACHABLE" {
				t.Errorf("got %v", err)
			}
			break
		}
		if got != token {
			t.Fatalf("got %v", got)
		}
		time.Sleep(time.Millisecond)
	}
	if got, err := source.Peek(); !errors.Is(err, mintonce.ErrExpired) {
		t.Errorf("Peek gives %v, %v", got, err)
	}
	// The server comes back on the same port.
	server.Lives(time.Hour, time.Hour)
	server.Publish()
	server.Start()
	eventually(t, "a token is there again", func() bool { _, err := source.Token(t.Context()); return err == nil })
}

func TestDrainIsInvisible(t *testing.T) {
	server := scripted.New(t)
	source := open(t, server)
	eventually(t, "it watches", func() bool { return server.Watching() == 1 })
	server.EndWatches(scripted.Failure(codes.Unavailable, "DRAINING", 0))
	eventually(t, "it watches again", func() bool { return server.Calls(scripted.Watch) >= 2 && server.Watching() == 1 })
	get(t, source)
}

func TestManyWhoWaitMakeOneFetch(t *testing.T) {
	server := scripted.New(t)
	server.Lives(400*time.Millisecond, 350*time.Millisecond)
	server.Fail(scripted.Watch, status.Error(codes.Unimplemented, "no watches here"))
	server.Publish()
	source := open(t, server)
	token := get(t, source)
	release := server.Hold(scripted.Get)
	defer release()
	server.Lives(time.Hour, time.Hour)
	server.Publish()
	eventually(t, "the token is over", func() bool { return !token.Live() })
	before := server.Calls(scripted.Get)
	got := together(50, func() (*mintonce.Token, error) { return source.Token(t.Context()) }, func() {
		eventually(t, "the fetch is under way", func() bool { return server.Calls(scripted.Get) > 1 })
		time.Sleep(50 * time.Millisecond)
		release()
	})
	for _, each := range got {
		if each.err != nil || each.token != got[0].token {
			t.Fatalf("got %v, %v", each.token, each.err)
		}
	}
	if calls := server.Calls(scripted.Get); calls > max(before, 2) {
		t.Errorf("%d calls", calls)
	}
}

func TestInsideTheBackOffTokenFailsAtOnce(t *testing.T) {
	server := scripted.New(t)
	server.Lives(400*time.Millisecond, 300*time.Millisecond)
	server.Fail(scripted.Watch, status.Error(codes.Unimplemented, "no watches here"))
	server.Publish()
	source := open(t, server)
	token := get(t, source)
	server.Fail(scripted.Get, scripted.Failure(codes.Unavailable, "ISSUER_UNAVAILABLE", 30*time.Second))
	eventually(t, "the token is over and a fetch has failed", func() bool {
		return !token.Live() && server.Calls(scripted.Get) == 2
	})
	eventually(t, "the source has the failure", func() bool { // the answer may be on its way
		_, err := source.Token(t.Context())
		return errors.Is(err, mintonce.ErrExpired) && asError(t, err).RetryAfter == 30*time.Second
	})
	for range 20 {
		_, err := source.Token(t.Context())
		if failure := asError(t, err); failure.RetryAfter != 30*time.Second || failure.RequestID != "r-1" {
			t.Fatalf("got %#v", failure)
		}
	}
	if calls := server.Calls(scripted.Get); calls != 2 {
		t.Errorf("%d calls", calls)
	}
}

func TestTheCallersCancellationIsItsOwn(t *testing.T) {
	server := scripted.New(t)
	source := open(t, server)
	token := get(t, source)
	defer server.Hold(scripted.Get)()
	waits := map[string]func(context.Context) (*mintonce.Token, error){
		"Reject":           func(ctx context.Context) (*mintonce.Token, error) { return source.Reject(ctx, token) },
		"WaitUntilUpdated": func(ctx context.Context) (*mintonce.Token, error) { return source.WaitUntilUpdated(ctx, token) },
		"Token":            source.Token, // the token is rejected by then
	}
	for _, name := range []string{"Reject", "WaitUntilUpdated", "Token"} {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		_, err := waits[name](ctx)
		var ours *mintonce.Error
		if !errors.Is(err, context.Canceled) || errors.As(err, &ours) {
			t.Errorf("%s: %v", name, err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err = waits[name](ctx)
		cancel()
		if !errors.Is(err, mintonce.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAWaitHasAnEndWithoutADeadline(t *testing.T) {
	server := scripted.New(t)
	source := open(t, server, mintonce.WithTimeout(100*time.Millisecond))
	_, err := source.WaitUntilUpdated(t.Context(), get(t, source))
	if !errors.Is(err, mintonce.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	server := scripted.New(t)
	before := runtime.NumGoroutine()
	source := open(t, server)
	token := get(t, source)
	eventually(t, "it watches", func() bool { return server.Watching() == 1 })
	waiting := make(chan error)
	go func() { _, err := source.WaitUntilUpdated(context.Background(), token); waiting <- err }()
	time.Sleep(20 * time.Millisecond) // so that it mostly waits already; either way it must get ErrClosed
	for range 2 {
		if err := source.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := <-waiting; !errors.Is(err, mintonce.ErrClosed) {
		t.Errorf("the waiter got %v", err)
	}
	if _, err := source.Token(t.Context()); !errors.Is(err, mintonce.ErrClosed) {
		t.Errorf("Token: %v", err)
	}
	if _, err := source.Reject(t.Context(), token); !errors.Is(err, mintonce.ErrClosed) {
		t.Errorf("Reject: %v", err)
	}
	if _, err := source.Peek(); !errors.Is(err, mintonce.ErrClosed) {
		t.Errorf("Peek: %v", err)
	}
	eventually(t, "the watch ends", func() bool { return server.Watching() == 0 })
	eventually(t, "the goroutines end", func() bool { return runtime.NumGoroutine() <= before+1 })
}

func TestCloseWhileACallIsUnderWay(t *testing.T) {
	server := scripted.New(t)
	source := open(t, server)
	defer server.Hold(scripted.Get)()
	failed := make(chan error)
	go func() { _, err := source.Reject(context.Background(), get(t, source)); failed <- err }()
	eventually(t, "the fetch is under way", func() bool { return server.Calls(scripted.Get) == 2 })
	_ = source.Close()
	if err := <-failed; !errors.Is(err, mintonce.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestASharedClientStaysOpen(t *testing.T) {
	server := scripted.New(t)
	client := dial(t, server)
	source, err := mintonce.NewSource(t.Context(), "billing", mintonce.WithClient(client))
	if err != nil {
		t.Fatal(err)
	}
	_ = source.Close()
	if _, err := client.Get(t.Context(), mintonce.Key{Client: "billing"}); err != nil {
		t.Error(err)
	}
	_, err = mintonce.NewSource(t.Context(), "billing", mintonce.WithClient(client), mintonce.WithTarget("x:1"))
	var ours *mintonce.Error
	if err == nil || errors.As(err, &ours) {
		t.Errorf("got %v", err)
	}
}

func TestTheNewestTokenHasManyReadersWhileItChanges(t *testing.T) {
	server := scripted.New(t)
	source := open(t, server)
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Add(1)
		go func() {
			defer readers.Done()
			last := int64(0)
			for {
				select {
				case <-done:
					return
				default:
				}
				token, err := source.Token(t.Context())
				if err != nil || token.Generation() < last {
					t.Errorf("after %d: %v, %v", last, token, err)
					return
				}
				last = token.Generation()
			}
		}()
	}
	for range 50 {
		token := get(t, source)
		server.Publish()
		if _, err := source.WaitUntilUpdated(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	readers.Wait()
}

func TestUnknownOriginsAreTaken(t *testing.T) {
	server := scripted.New(t)
	server.Change(func(token *pb.Token) { token.Origin = 77 })
	if token := get(t, open(t, server)); token.Origin() != mintonce.OriginUnknown {
		t.Errorf("got %v", token)
	}
}

type outcome struct {
	token *mintonce.Token
	err   error
}

// together makes n calls at once.
func together(n int, call func() (*mintonce.Token, error), meanwhile func()) []outcome {
	outcomes := make([]outcome, n)
	var all sync.WaitGroup
	for i := range outcomes {
		all.Add(1)
		go func() {
			defer all.Done()
			outcomes[i].token, outcomes[i].err = call()
		}()
	}
	if meanwhile != nil {
		meanwhile()
	}
	all.Wait()
	return outcomes
}
