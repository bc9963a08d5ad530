package mintonce_test

import (
	"context"
	"encoding/base64"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	mintonce "github.com/mintonce/mintonce/client/go"
	"github.com/mintonce/mintonce/client/go/internal/scripted"
	pb "github.com/mintonce/mintonce/client/go/mintoncev1"
)

var key = mintonce.Key{Client: "billing"}

func TestErrorsHaveTheirClasses(t *testing.T) {
	foreign, _ := status.New(codes.NotFound, "text of a proxy").WithDetails(&errdetails.ErrorInfo{Reason: "X", Domain: "other"})
	cases := map[string]struct {
		err    error
		class  error // nil: none of them
		reason string
	}{
		"a known refusal":               {scripted.Failure(codes.NotFound, "UNKNOWN_CLIENT", 0), mintonce.ErrRefused, "UNKNOWN_CLIENT"},
		"the issuer's refusal":          {scripted.Failure(codes.FailedPrecondition, "ISSUER_REFUSED", 0), mintonce.ErrRefused, "ISSUER_REFUSED"},
		"a known failure":               {scripted.Failure(codes.Unavailable, "STORE_UNAVAILABLE", 0), mintonce.ErrUnavailable, "STORE_UNAVAILABLE"},
		"too soon":                      {scripted.Failure(codes.ResourceExhausted, "ROTATION_TOO_SOON", 0), mintonce.ErrUnavailable, "ROTATION_TOO_SOON"},
		"the server's deadline":         {scripted.Failure(codes.DeadlineExceeded, "WAIT_TIMED_OUT", 0), mintonce.ErrUnavailable, "WAIT_TIMED_OUT"},
		"internal":                      {scripted.Failure(codes.Internal, "INTERNAL", 0), nil, "INTERNAL"},
		"unknown, unavailable":          {scripted.Failure(codes.Unavailable, "QUOTA_PAUSED", 0), mintonce.ErrUnavailable, "QUOTA_PAUSED"},
		"unknown, aborted":              {scripted.Failure(codes.Aborted, "NEW", 0), mintonce.ErrUnavailable, "NEW"},
		"unknown, refused":              {scripted.Failure(codes.FailedPrecondition, "NEW", 0), mintonce.ErrRefused, "NEW"},
		"unknown, else":                 {scripted.Failure(codes.DataLoss, "NEW", 0), nil, "NEW"},
		"without details":               {status.Error(codes.NotFound, "secret-text"), mintonce.ErrRefused, "NOT_FOUND"},
		"without details, unavailable":  {status.Error(codes.Unavailable, "x"), mintonce.ErrUnreachable, "UNREACHABLE"},
		"without details, exhausted":    {status.Error(codes.ResourceExhausted, "x"), mintonce.ErrUnavailable, "RESOURCE_EXHAUSTED"},
		"without details, too late":     {status.Error(codes.DeadlineExceeded, "x"), mintonce.ErrUnavailable, "DEADLINE_EXCEEDED"},
		"without details, who are you":  {status.Error(codes.Unauthenticated, "secret-text"), mintonce.ErrRefused, "UNAUTHENTICATED"},
		"without details, internal":     {status.Error(codes.Internal, "secret-text"), nil, "INTERNAL"},
		"details of a foreign domain":   {foreign.Err(), mintonce.ErrRefused, "NOT_FOUND"},
		"cancelled by the server":       {status.Error(codes.Canceled, "x"), nil, "CANCELLED"},
		"a reason that a terminal sees": {scripted.Failure(codes.NotFound, "A\x1b[31m", 0), mintonce.ErrRefused, `A\x1b[31m`},
	}
	for name, each := range cases {
		t.Run(name, func(t *testing.T) {
			server := scripted.New(t)
			server.Fail(scripted.Rotate, each.err) // which gRPC does not repeat
			_, err := dial(t, server).Rotate(t.Context(), key)
			failure := asError(t, err)
			if failure.Reason != each.reason || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v", err)
			}
			classes := []error{mintonce.ErrRefused, mintonce.ErrUnavailable, mintonce.ErrUnreachable, mintonce.ErrExpired, mintonce.ErrClosed}
			for _, class := range classes {
				want := class == each.class || class == mintonce.ErrUnavailable && each.class == mintonce.ErrUnreachable
				if errors.Is(err, class) != want {
					t.Errorf("%v: is %v: %t", err, class, !want)
				}
			}
			if _, is := status.FromError(err); is {
				t.Error("a gRPC server would pass it on as its own")
			}
		})
	}
}

func TestRetryInfoCountsAlone(t *testing.T) {
	server := scripted.New(t)
	server.Fail(scripted.Rotate, scripted.Failure(codes.ResourceExhausted, "LIMIT_EXCEEDED", 1500*time.Millisecond))
	_, err := dial(t, server).Rotate(t.Context(), key)
	if failure := asError(t, err); failure.RetryAfter != 1500*time.Millisecond {
		t.Errorf("got %v", failure.RetryAfter)
	}
}

func TestUnavailableIsRepeatedFourTimesInAll(t *testing.T) {
	server := scripted.New(t)
	client := dial(t, server)
	server.Fail(scripted.Get, status.Error(codes.Unavailable, "away"))
	if _, err := client.Get(t.Context(), key); !errors.Is(err, mintonce.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
	if calls := server.Calls(scripted.Get); calls != 4 {
		t.Errorf("%d calls", calls)
	}
}

func TestACallThatTheServerCancelsIsRepeated(t *testing.T) {
	server := scripted.New(t)
	server.FailTimes(scripted.Get, status.Error(codes.Canceled, "flooded"), 2)
	if _, err := dial(t, server).Get(t.Context(), key); err != nil || server.Calls(scripted.Get) != 3 {
		t.Errorf("got %v after %d calls", err, server.Calls(scripted.Get))
	}
}

func TestPushbackStopsRepeating(t *testing.T) {
	server := scripted.New(t)
	client := dial(t, server)
	server.Fail(scripted.Get, scripted.Failure(codes.Unavailable, "ISSUER_UNAVAILABLE", 0))
	if _, err := client.Get(t.Context(), key); !errors.Is(err, mintonce.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if calls := server.Calls(scripted.Get); calls != 1 {
		t.Errorf("%d calls", calls)
	}
}

func TestRotateIsNeverRepeated(t *testing.T) {
	server := scripted.New(t)
	server.Fail(scripted.Rotate, status.Error(codes.Unavailable, "away"))
	if _, err := dial(t, server).Rotate(t.Context(), key); err == nil || server.Calls(scripted.Rotate) != 1 {
		t.Errorf("got %v after %d calls", err, server.Calls(scripted.Rotate))
	}
}

func TestLifeCountsFromBeforeTheCall(t *testing.T) {
	server := scripted.New(t)
	server.Lives(10*time.Second, 5*time.Second)
	server.Publish()
	server.Change(func(token *pb.Token) { token.ExpireTime = timestamppb.New(time.Unix(0, 0)) }) // for people alone
	server.Delay(500 * time.Millisecond)
	token, err := dial(t, server).Get(t.Context(), key)
	if err != nil || token.ExpiresIn() > 9500*time.Millisecond || token.RefreshIn() > 4500*time.Millisecond || !token.Live() {
		t.Errorf("got %v, %v", token, err)
	}
}

func TestADeadlineIsUnavailable(t *testing.T) {
	server := scripted.New(t)
	defer server.Hold(scripted.Get)()
	client := dial(t, server, mintonce.WithTimeout(100*time.Millisecond))
	_, err := client.Get(t.Context(), key)
	if failure := asError(t, err); !errors.Is(err, mintonce.ErrUnavailable) || failure.Code != codes.DeadlineExceeded ||
		errors.Is(err, context.DeadlineExceeded) { // which is for the caller's own
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = client.Get(ctx, key)
	if !errors.Is(err, mintonce.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestACancelledCallIsTheCallers(t *testing.T) {
	server := scripted.New(t)
	client := dial(t, server)
	defer server.Hold(scripted.Get)()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for server.Calls(scripted.Get) == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	if _, err := client.Get(ctx, key); err != context.Canceled {
		t.Errorf("got %v", err)
	}
	for _, err := range client.Watch(ctx, key) {
		if err != context.Canceled {
			t.Errorf("got %v", err)
		}
	}
}

func TestAClosedClientSaysSo(t *testing.T) {
	server := scripted.New(t)
	before := runtime.NumGoroutine()
	client := dial(t, server)
	defer server.Hold(scripted.Get)()
	failed := make(chan error)
	go func() { _, err := client.Get(context.Background(), key); failed <- err }()
	eventually(t, "the call is under way", func() bool { return server.Calls(scripted.Get) == 1 })
	for range 2 {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := <-failed; !errors.Is(err, mintonce.ErrClosed) {
		t.Errorf("the call under way got %v", err)
	}
	if _, err := client.List(t.Context(), mintonce.ListOptions{}); !errors.Is(err, mintonce.ErrClosed) {
		t.Errorf("got %v", err)
	}
	for _, err := range client.Watch(t.Context(), key) {
		if !errors.Is(err, mintonce.ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
	eventually(t, "the goroutines end", func() bool { return runtime.NumGoroutine() <= before+1 })
}

func TestWatchGivesSuccessorsAndEndsAtABreak(t *testing.T) {
	server := scripted.New(t)
	client := dial(t, server)
	want := int64(101)
	for token, err := range client.Watch(t.Context(), key) {
		if err != nil || token.Generation() != want {
			t.Fatalf("got %v, %v", token, err)
		}
		if want++; want == 104 {
			break
		}
		server.Publish()
	}
	eventually(t, "the watch ends", func() bool { return server.Watching() == 0 })
}

func TestWatchEndsAsTheServerEndsIt(t *testing.T) {
	server := scripted.New(t)
	client := dial(t, server)
	for _, end := range []error{nil, scripted.Failure(codes.Unavailable, "DRAINING", 0)} {
		var last error
		for _, err := range client.Watch(t.Context(), key) {
			last = err
			server.EndWatches(end)
		}
		if (end == nil) != (last == nil) || end != nil && asError(t, last).Reason != "DRAINING" {
			t.Errorf("ended by %v: got %v", end, last)
		}
	}
}

func TestRejectByGenerationAndByFingerprint(t *testing.T) {
	server := scripted.New(t)
	client := dial(t, server)
	token, err := client.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if current, err := client.Reject(t.Context(), key, token.Generation()); err != nil || !current {
		t.Errorf("got %t, %v", current, err)
	}
	if current, err := client.Reject(t.Context(), key, token.Generation()); err != nil || current {
		t.Errorf("got %t, %v", current, err)
	}
	server.Publish()
	if current, err := client.RejectFingerprint(t.Context(), key, token.Fingerprint()); err != nil || !current {
		t.Errorf("got %t, %v", current, err)
	}
	var ours *mintonce.Error
	if _, err := client.Reject(t.Context(), key, 0); err == nil || errors.As(err, &ours) {
		t.Errorf("got %v", err)
	}
}

func TestListsHavePages(t *testing.T) {
	server := scripted.New(t)
	pages := 0
	for page, err := range dial(t, server).Pages(t.Context(), mintonce.ListOptions{Client: "billing"}) {
		if err != nil || len(page.Tokens) != 1 || page.Tokens[0].Key.Client != "billing" || page.Tokens[0].ExpiresIn != time.Hour {
			t.Fatalf("got %v, %v", page, err)
		}
		pages++
	}
	if pages != 2 {
		t.Errorf("%d pages", pages)
	}
}

func TestTextThatNoMessageHoldsIsRefused(t *testing.T) {
	server := scripted.New(t)
	client := dial(t, server)
	for _, each := range []mintonce.Key{{Client: "\xff"}, {Audience: "\xff"}, {Scopes: []string{"a", "\xff"}}} {
		_, err := client.Get(t.Context(), each)
		if failure := asError(t, err); failure.Reason != "INVALID_REQUEST" || !errors.Is(err, mintonce.ErrRefused) {
			t.Errorf("got %v", err)
		}
	}
	if calls := server.Calls(scripted.Get); calls != 0 {
		t.Errorf("%d calls", calls)
	}
}

func TestTheUserAgentNamesTheClient(t *testing.T) {
	server := scripted.New(t)
	if _, err := dial(t, server).Get(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	agent := strings.Join(server.Metadata(scripted.Get, "user-agent"), "")
	if !strings.HasPrefix(agent, "mintonce-go/"+mintonce.Version) {
		t.Errorf("got %q", agent)
	}
}

func TestMistakesAreNoErrorsOfCalls(t *testing.T) {
	mistakes := map[string][]mintonce.ClientOption{
		"a key without a certificate": {mintonce.WithTLS(mintonce.TLS{KeyFile: "me.key"})},
		"no timeout":                  {mintonce.WithTimeout(-time.Second)},
		"an empty path":               {mintonce.WithBearerFile("")},
	}
	for name, options := range mistakes {
		_, err := mintonce.NewClient(options...)
		var ours *mintonce.Error
		if err == nil || errors.As(err, &ours) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGarbageInTheDetailsIsNotSaid(t *testing.T) {
	garbage, _ := base64.StdEncoding.DecodeString("/////w==")
	state := status.New(codes.NotFound, "x").Proto()
	state.Details = nil
	server := scripted.New(t)
	server.RawTrailer("grpc-status-details-bin", string(garbage))
	server.Fail(scripted.Rotate, status.FromProto(state).Err())
	_, err := dial(t, server).Rotate(t.Context(), key)
	if failure := asError(t, err); failure.Reason != "NOT_FOUND" || !errors.Is(err, mintonce.ErrRefused) {
		t.Errorf("got %v", err)
	}
}

func TestDetailsThatNameAnotherCodeAreRead(t *testing.T) {
	sent, _ := status.FromError(errors.Unwrap(scripted.Failure(codes.Internal, "ISSUER_THROTTLED", time.Second)))
	packed, _ := proto.Marshal(sent.Proto())
	server := scripted.New(t)
	server.RawTrailer("grpc-status-details-bin", string(packed))
	server.Fail(scripted.Rotate, status.Error(codes.ResourceExhausted, `with "quotes", and more`))
	server.Fail(scripted.Watch, status.Error(codes.ResourceExhausted, "too many"))
	client := dial(t, server)
	_, err := client.Rotate(t.Context(), key)
	failures := []error{err}
	for _, err := range client.Watch(t.Context(), key) {
		failures = append(failures, err)
	}
	for _, err := range failures {
		failure := asError(t, err)
		if failure.Reason != "ISSUER_THROTTLED" || failure.Code != codes.ResourceExhausted || failure.RetryAfter != time.Second ||
			!errors.Is(err, mintonce.ErrUnavailable) {
			t.Errorf("got %#v", failure)
		}
	}
	if message := asError(t, failures[0]).Message; message != `with "quotes", and more` {
		t.Errorf("got %q", message)
	}
}
