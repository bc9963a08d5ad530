// Command testee is this client as the conformance suite drives it: JSON lines on stdin and stdout. See conformance/README.md.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"sync"
	"time"

	mintonce "github.com/mintonce/mintonce/client/go"
)

func main() {
	t := &testee{
		out: json.NewEncoder(os.Stdout), sources: map[string]*kept{}, clients: map[string]*mintonce.Client{},
		cancels: map[float64]context.CancelFunc{},
	}
	t.logger = slog.New(&t.warnings)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	var running sync.WaitGroup
	for lines.Scan() {
		var request request
		if err := json.Unmarshal(lines.Bytes(), &request); err != nil {
			fmt.Fprintln(os.Stderr, "testee: a line is no request:", err)
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		t.mu.Lock()
		t.cancels[request.ID] = cancel
		t.mu.Unlock()
		started := make(chan struct{})
		running.Add(1)
		go func() {
			defer running.Done()
			defer cancel()
			close(started)
			t.answer(request.ID, t.do(ctx, &request))
		}()
		<-started // so that requests start in the order of their lines
		runtime.Gosched()
	}
	t.closeAll()
	running.Wait()
	http.DefaultClient.CloseIdleConnections()
	awaitGoroutines()
}

// awaitGoroutines does not return while the client has left a goroutine behind: a Go program would end with it.
func awaitGoroutines() {
	for waited := time.Duration(0); runtime.NumGoroutine() > 1; waited += 10 * time.Millisecond {
		if waited == 4*time.Second {
			stacks := make([]byte, 1<<20)
			fmt.Fprintf(os.Stderr, "testee: goroutines are left:\n%s\n", stacks[:runtime.Stack(stacks, true)])
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// testee holds what requests have made.
type testee struct {
	logger   *slog.Logger
	warnings warnings

	mu        sync.Mutex
	out       *json.Encoder
	sources   map[string]*kept
	clients   map[string]*mintonce.Client
	cancels   map[float64]context.CancelFunc
	lastError error
}

// kept is a source with the tokens that it gave.
type kept struct {
	*mintonce.Source
	tokens map[int64]*mintonce.Token
}

func (t *testee) answer(id float64, answer answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.cancels, id)
	answer["id"] = id
	if err := t.out.Encode(answer); err != nil {
		fmt.Fprintln(os.Stderr, "testee: an answer cannot be written:", err)
	}
}

func (t *testee) closeAll() {
	t.mu.Lock()
	sources, clients := t.sources, t.clients
	t.sources, t.clients = map[string]*kept{}, map[string]*mintonce.Client{}
	for _, cancel := range t.cancels {
		cancel()
	}
	t.mu.Unlock()
	for _, source := range sources {
		_ = source.Close()
	}
	for _, client := range clients {
		_ = client.Close()
	}
}

// warnings keeps what the client logs.
type warnings struct {
	mu    sync.Mutex
	lines []string
}

func (*warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

func (w *warnings) Handle(_ context.Context, record slog.Record) error {
	line := record.Message
	record.Attrs(func(attr slog.Attr) bool { line += " " + attr.String(); return true })
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, line)
	return nil
}

func (w *warnings) WithAttrs([]slog.Attr) slog.Handler { return w }
func (w *warnings) WithGroup(string) slog.Handler      { return w }
