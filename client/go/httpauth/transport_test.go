package httpauth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	mintonce "github.com/mintonce/mintonce/client/go"
	"github.com/mintonce/mintonce/client/go/httpauth"
	"github.com/mintonce/mintonce/client/go/internal/scripted"
)

// api refuses some tokens, and remembers what came.
type api struct {
	*httptest.Server
	mu      sync.Mutex
	headers []string
	bodies  []string
	refuses func(header string) bool
}

func newAPI(t *testing.T, refused ...string) *api {
	a := &api{refuses: func(header string) bool {
		for _, each := range refused {
			if header == "Bearer "+each {
				return true
			}
		}
		return false
	}}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		a.mu.Lock()
		a.headers = append(a.headers, r.Header.Get("Authorization"))
		a.bodies = append(a.bodies, string(body))
		a.mu.Unlock()
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
			return
		}
		if a.refuses(r.Header.Get("Authorization")) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, "the API's own 401")
			return
		}
		_, _ = io.WriteString(w, "hello")
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *api) got(t *testing.T, want ...string) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if fmt.Sprint(a.headers) != fmt.Sprint(want) {
		t.Errorf("the API got %q, want %q", a.headers, want)
	}
}

func client(t *testing.T, server *scripted.Server, log io.Writer) *http.Client {
	t.Helper()
	source, err := mintonce.NewSource(t.Context(), "billing", mintonce.WithTarget(server.Target()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = source.Close() })
	return &http.Client{Transport: &httpauth.Transport{Source: source, Logger: slog.New(slog.NewTextHandler(log, nil))}}
}

func TestItSendsTheToken(t *testing.T) {
	a := newAPI(t)
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL, nil)
	request.Header.Set("Authorization", "Basic of-the-user")
	if status := do(t, client(t, scripted.New(t), io.Discard), request); status != 200 {
		t.Errorf("got %d", status)
	}
	a.got(t, "Bearer secret-101")
	if request.Header.Get("Authorization") != "Basic of-the-user" {
		t.Error("the caller's request was changed")
	}
}

func TestA401IsRejectedAndRepeatedOnce(t *testing.T) {
	server, a := scripted.New(t), newAPI(t, "secret-101")
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, a.URL, strings.NewReader("payload"))
	if status := do(t, client(t, server, io.Discard), request); status != 200 {
		t.Errorf("got %d", status)
	}
	a.got(t, "Bearer secret-101", "Bearer secret-102")
	if fmt.Sprint(a.bodies) != "[payload payload]" {
		t.Errorf("bodies: %q", a.bodies)
	}
	if calls := server.Calls(scripted.Reject); calls != 1 {
		t.Errorf("%d rejections", calls)
	}
}

func TestASecond401IsReturned(t *testing.T) {
	server, a := scripted.New(t), newAPI(t, "secret-101", "secret-102")
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL, nil)
	if status := do(t, client(t, server, io.Discard), request); status != 401 {
		t.Errorf("got %d", status)
	}
	a.got(t, "Bearer secret-101", "Bearer secret-102")
	if calls := server.Calls(scripted.Reject); calls != 1 {
		t.Errorf("%d rejections", calls)
	}
}

func TestAStreamIsNotRepeated(t *testing.T) {
	server, a := scripted.New(t), newAPI(t, "secret-101")
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, a.URL, io.MultiReader(strings.NewReader("once")))
	c := client(t, server, io.Discard)
	if status := do(t, c, request); status != 401 {
		t.Errorf("got %d", status)
	}
	a.got(t, "Bearer secret-101")
	if calls := server.Calls(scripted.Reject); calls != 1 {
		t.Errorf("%d rejections", calls)
	}
}

func TestARefusedRejectionGivesTheAPIsOwn401(t *testing.T) {
	server, a := scripted.New(t), newAPI(t, "secret-101")
	server.Fail(scripted.Reject, scripted.Failure(codes.ResourceExhausted, "ROTATION_TOO_SOON", time.Minute))
	var log bytes.Buffer
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL, nil)
	response, err := client(t, server, &log).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); response.StatusCode != 401 || string(body) != "the API's own 401" {
		t.Errorf("got %d %q", response.StatusCode, body)
	}
	if text := log.String(); strings.Count(text, "level=WARN") != 1 || strings.Contains(text, "secret") ||
		!strings.Contains(text, "ROTATION_TOO_SOON") {
		t.Errorf("log: %s", text)
	}
}

func TestRedirectsToAnotherOriginGoWithoutTheHeader(t *testing.T) {
	server, mine, other := scripted.New(t), newAPI(t), newAPI(t, "")
	other.refuses = func(string) bool { return true }
	c := client(t, server, io.Discard)
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, mine.URL+"?to="+other.URL, nil)
	if status := do(t, c, request); status != 401 {
		t.Errorf("got %d", status)
	}
	other.got(t, "")
	// And back again.
	other.refuses = func(string) bool { return false }
	request, _ = http.NewRequestWithContext(t.Context(), http.MethodGet,
		mine.URL+"?to="+other.URL+"%3Fto="+mine.URL, nil)
	if status := do(t, c, request); status != 200 {
		t.Errorf("got %d", status)
	}
	mine.got(t, "Bearer secret-101", "Bearer secret-101", "")
	if calls := server.Calls(scripted.Reject); calls != 0 {
		t.Errorf("%d rejections", calls)
	}
	// Within the origin the header stays.
	request, _ = http.NewRequestWithContext(t.Context(), http.MethodGet, mine.URL+"?to=/here", nil)
	do(t, c, request)
	mine.got(t, "Bearer secret-101", "Bearer secret-101", "", "Bearer secret-101", "Bearer secret-101")
}

func TestTheCallersCancellationEndsARejection(t *testing.T) {
	server, a := scripted.New(t), newAPI(t, "secret-101")
	c := client(t, server, io.Discard)
	defer server.Hold(scripted.Reject)()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for server.Calls(scripted.Reject) == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	request, _ := http.NewRequestWithContext(ctx, http.MethodGet, a.URL, nil)
	response, err := c.Do(request)
	if err == nil {
		_ = response.Body.Close()
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestWithoutATokenTheBodyIsClosed(t *testing.T) {
	server, a := scripted.New(t), newAPI(t)
	source, err := mintonce.NewSource(t.Context(), "billing", mintonce.WithTarget(server.Target()))
	if err != nil {
		t.Fatal(err)
	}
	_ = source.Close()
	body := &closer{Reader: strings.NewReader("x")}
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, a.URL, body)
	response, err := (&httpauth.Transport{Source: source}).RoundTrip(request)
	if err == nil {
		_ = response.Body.Close()
	}
	if !errors.Is(err, mintonce.ErrClosed) || !body.closed {
		t.Errorf("got %v; the body is closed: %t", err, body.closed)
	}
}

type closer struct {
	io.Reader
	closed bool
}

func (c *closer) Close() error { c.closed = true; return nil }

func do(t *testing.T, c *http.Client, request *http.Request) int {
	t.Helper()
	response, err := c.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func TestARefusalWhoseBodyNeverComesIsRepeatedAllTheSame(t *testing.T) {
	server := scripted.New(t)
	over := make(chan struct{})
	var calls atomic.Int32
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) > 1 {
			_, _ = io.WriteString(w, "hello")
			return
		}
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(http.StatusUnauthorized)
		w.(http.Flusher).Flush()
		<-over
	}))
	defer api.Close()
	defer close(over)
	response, err := client(t, server, io.Discard).Get(api.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK || calls.Load() != 2 {
		t.Errorf("got %v after %d calls", response.Status, calls.Load())
	}
}
