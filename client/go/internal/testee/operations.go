package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	mintonce "github.com/mintonce/mintonce/client/go"
)

var features = []string{
	"http:net-http", "grpc:grpc-go", "unix", "dns", "cancel", "http_proxy", "keys:sec1", "keys:pkcs1", "rotate", "list",
}

func (t *testee) do(ctx context.Context, r *request) answer {
	operations := map[string]func(context.Context, *request) answer{
		"hello": t.hello, "open": t.open, "token": t.token, "get": t.get, "reject": t.reject, "updated": t.updated,
		"close": t.close, "client_open": t.clientOpen, "client_get": t.clientGet, "client_watch": t.clientWatch,
		"client_reject": t.clientReject, "client_rotate": t.clientRotate, "client_list": t.clientList, "print": t.print,
		"logs": t.logs, "burst": t.burst, "cancel": t.cancel, "http": t.http, "grpc_call": t.grpcCall,
	}
	operation, known := operations[r.Op]
	if !known {
		return unsupported("no operation is called " + r.Op)
	}
	return operation(ctx, r)
}

func (t *testee) hello(context.Context, *request) answer {
	return ok(map[string]any{
		"protocol": 1, "language": "go", "version": mintonce.Version, "runtime": runtime.Version(), "features": features,
	})
}

func (t *testee) open(ctx context.Context, r *request) answer {
	options := []mintonce.SourceOption{mintonce.WithLogger(t.logger)}
	if r.Aud != "" {
		options = append(options, mintonce.WithAudience(r.Aud))
	}
	if r.Scopes != nil {
		options = append(options, mintonce.WithScopes(r.Scopes...))
	}
	if r.WaitForServerMS != nil {
		options = append(options, mintonce.WithWaitForServer(span(*r.WaitForServerMS)))
	}
	if r.Via != nil {
		t.mu.Lock()
		client := t.clients[*r.Via]
		t.mu.Unlock()
		options = append(options, mintonce.WithClient(client))
	}
	for _, each := range connectionOptions(r) {
		options = append(options, each)
	}
	source, err := mintonce.NewSource(ctx, r.Client, options...)
	if err != nil {
		return t.failed(err)
	}
	k := &kept{source, map[int64]*mintonce.Token{}}
	t.mu.Lock()
	t.sources[r.Source] = k
	t.mu.Unlock()
	token, err := source.Peek()
	return t.tokenOr(k, token, err)
}

func connectionOptions(r *request) []mintonce.Option {
	var options []mintonce.Option
	if r.Target != nil {
		options = append(options, mintonce.WithTarget(*r.Target))
	}
	switch with := r.TLS.(type) {
	case bool:
		if with {
			options = append(options, mintonce.WithTLS(mintonce.TLS{}))
		} else {
			options = append(options, mintonce.WithoutTLS())
		}
	case map[string]any:
		options = append(options, mintonce.WithTLS(tlsOf(with)))
	}
	switch bearer := r.BearerFile.(type) {
	case bool:
		options = append(options, mintonce.WithoutBearer())
	case string:
		options = append(options, mintonce.WithBearerFile(bearer))
	}
	if r.APIKeyFile != nil {
		options = append(options, mintonce.WithAPIKeyFile(*r.APIKeyFile))
	}
	if r.TimeoutMS != nil {
		options = append(options, mintonce.WithTimeout(span(*r.TimeoutMS)))
	}
	return options
}

func tlsOf(with map[string]any) mintonce.TLS {
	text := func(name string) string { value, _ := with[name].(string); return value }
	return mintonce.TLS{
		CAFile: text("ca_file"), CertificateFile: text("certificate_file"), KeyFile: text("key_file"),
		ServerName: text("server_name"),
	}
}

func (t *testee) token(_ context.Context, r *request) answer {
	k, err := t.source(r)
	if err != nil {
		return failed(err)
	}
	token, err := k.Peek()
	for range max(r.Count, 1) - 1 {
		token, err = k.Peek()
	}
	return t.tokenOr(k, token, err)
}

func (t *testee) get(ctx context.Context, r *request) answer {
	k, err := t.source(r)
	if err != nil {
		return failed(err)
	}
	ctx, cancel := timeout(ctx, r)
	defer cancel()
	token, err := k.Token(ctx)
	return t.tokenOr(k, token, err)
}

func (t *testee) reject(ctx context.Context, r *request) answer {
	k, err := t.source(r)
	if err != nil {
		return failed(err)
	}
	var token *mintonce.Token
	if r.Generation != nil {
		t.mu.Lock()
		token = k.tokens[*r.Generation]
		t.mu.Unlock()
	}
	ctx, cancel := timeout(ctx, r)
	defer cancel()
	successor, err := k.Reject(ctx, token)
	return t.tokenOr(k, successor, err)
}

func (t *testee) updated(ctx context.Context, r *request) answer {
	k, err := t.source(r)
	if err != nil {
		return failed(err)
	}
	t.mu.Lock()
	than := k.tokens[r.Than]
	t.mu.Unlock()
	ctx, cancel := timeout(ctx, r)
	defer cancel()
	token, err := k.WaitUntilUpdated(ctx, than)
	return t.tokenOr(k, token, err)
}

func (t *testee) close(_ context.Context, r *request) answer {
	t.mu.Lock()
	source, client := t.sources[r.Source], t.clients[r.Conn]
	t.mu.Unlock()
	switch {
	case r.Source != "" && source != nil:
		_ = source.Close()
	case r.Conn != "" && client != nil:
		_ = client.Close()
	default:
		return failed(fault{"Testee", "nothing of this name is open"})
	}
	return ok(map[string]any{})
}

func (t *testee) print(_ context.Context, r *request) answer {
	k, err := t.source(r)
	if err != nil {
		return failed(err)
	}
	texts := map[string]string{}
	show := func(name string, value any) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			texts[name+"."+verb] = fmt.Sprintf(verb, value)
		}
		asJSON, err := json.Marshal(value)
		texts[name+".json"] = fmt.Sprint(string(asJSON), err)
		for kind, handler := range map[string]func(io.Writer, *slog.HandlerOptions) slog.Handler{
			"slog-text": func(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewTextHandler(w, o) },
			"slog-json": func(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewJSONHandler(w, o) },
		} {
			var log strings.Builder
			slog.New(handler(&log, nil)).Info("printed", "value", value)
			texts[name+"."+kind] = log.String()
		}
	}
	if token, err := k.Peek(); err == nil {
		show("token", token)
		show("token.in-a-struct", struct{ Token *mintonce.Token }{token})
		show("token.hidden", struct{ token *mintonce.Token }{token})
		show("token.copied", *token)
	}
	show("source", k.Source)
	t.mu.Lock()
	last, clients := t.lastError, t.clients
	for name, client := range clients {
		show("client."+name, client)
	}
	t.mu.Unlock()
	show("options", connectionOptions(r))
	if last == nil {
		last = errors.New("no error yet")
	}
	show("error", last)
	for cause := errors.Unwrap(last); cause != nil; cause = errors.Unwrap(cause) {
		show("error.cause", cause)
	}
	var failure *mintonce.Error
	if errors.As(last, &failure) {
		for i, cause := range failure.Unwrap() {
			show(fmt.Sprintf("error.cause-%d", i), cause)
		}
	}
	texts["error.stack"] = string(debug.Stack())
	return ok(map[string]any{"texts": texts})
}

func (t *testee) logs(context.Context, *request) answer {
	t.warnings.mu.Lock()
	defer t.warnings.mu.Unlock()
	return ok(map[string]any{"warnings": append([]string{}, t.warnings.lines...)})
}

func (t *testee) burst(ctx context.Context, r *request) answer {
	raw, err := json.Marshal(r.Of)
	if err != nil {
		return failed(err)
	}
	results := make([]answer, r.N)
	var all sync.WaitGroup
	for i := range results {
		all.Add(1)
		go func() {
			defer all.Done()
			var each request
			if err := json.Unmarshal(raw, &each); err != nil {
				results[i] = failed(err)
				return
			}
			results[i] = t.do(ctx, &each)
		}()
	}
	all.Wait()
	return ok(map[string]any{"results": results})
}

func (t *testee) cancel(_ context.Context, r *request) answer {
	id, _ := r.Of.(float64)
	t.mu.Lock()
	defer t.mu.Unlock()
	if cancel, running := t.cancels[id]; running {
		cancel()
	}
	return ok(map[string]any{})
}

func (t *testee) source(r *request) (*kept, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if k := t.sources[r.Source]; k != nil {
		return k, nil
	}
	return nil, fault{"Testee", "no source is called " + r.Source}
}

func (t *testee) client(r *request) (*mintonce.Client, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if client := t.clients[r.Conn]; client != nil {
		return client, nil
	}
	return nil, fault{"Testee", "no client is called " + r.Conn}
}

func (t *testee) tokenOr(k *kept, token *mintonce.Token, err error) answer {
	if err != nil {
		return t.failed(err)
	}
	if k != nil {
		t.mu.Lock()
		k.tokens[token.Generation()] = token
		t.mu.Unlock()
	}
	return ok(describeToken(token))
}

func (t *testee) failed(err error) answer {
	t.mu.Lock()
	t.lastError = err
	t.mu.Unlock()
	return failed(err)
}

func timeout(ctx context.Context, r *request) (context.Context, context.CancelFunc) {
	if r.TimeoutMS == nil {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, span(*r.TimeoutMS))
}

func span(milliseconds float64) time.Duration {
	return time.Duration(milliseconds * float64(time.Millisecond))
}
