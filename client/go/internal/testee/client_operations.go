package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	mintonce "github.com/mintonce/mintonce/client/go"
)

func (t *testee) clientOpen(_ context.Context, r *request) answer {
	options := []mintonce.ClientOption{mintonce.WithLogger(t.logger)}
	for _, each := range connectionOptions(r) {
		options = append(options, each)
	}
	client, err := mintonce.NewClient(options...)
	if err != nil {
		return t.failed(err)
	}
	t.mu.Lock()
	t.clients[r.Conn] = client
	t.mu.Unlock()
	return ok(map[string]any{})
}

func (t *testee) clientGet(ctx context.Context, r *request) answer {
	client, err := t.client(r)
	if err != nil {
		return failed(err)
	}
	ctx, cancel := timeout(ctx, r)
	defer cancel()
	var options []mintonce.GetOption
	if r.MinTTL != nil {
		options = append(options, mintonce.WithMinTTL(span(*r.MinTTL)))
	}
	token, err := client.Get(ctx, r.key(), options...)
	return t.tokenOr(nil, token, err)
}

func (t *testee) clientWatch(ctx context.Context, r *request) answer {
	client, err := t.client(r)
	if err != nil {
		return failed(err)
	}
	ctx, cancel := timeout(ctx, r)
	defer cancel()
	tokens := []any{}
	for token, err := range client.Watch(ctx, r.key()) {
		if err != nil {
			answer := t.failed(err)
			answer["tokens"] = tokens
			return answer
		}
		if tokens = append(tokens, describeToken(token)); len(tokens) == r.Count {
			break
		}
	}
	return ok(map[string]any{"tokens": tokens})
}

func (t *testee) clientReject(ctx context.Context, r *request) answer {
	client, err := t.client(r)
	if err != nil {
		return failed(err)
	}
	ctx, cancel := timeout(ctx, r)
	defer cancel()
	var current bool
	switch {
	case r.Generation != nil:
		current, err = client.Reject(ctx, r.key(), *r.Generation)
	case r.SHA256 != nil:
		var fingerprint [sha256.Size]byte
		if n, problem := hex.Decode(fingerprint[:], []byte(*r.SHA256)); problem != nil || n != len(fingerprint) {
			return failed(fault{"Usage", "sha256 is no SHA-256"}) // the type system keeps it away from the client
		}
		current, err = client.RejectFingerprint(ctx, r.key(), fingerprint)
	default:
		current, err = client.Reject(ctx, r.key(), 0)
	}
	if err != nil {
		return t.failed(err)
	}
	return ok(map[string]any{"was_current": current})
}

func (t *testee) clientRotate(ctx context.Context, r *request) answer {
	client, err := t.client(r)
	if err != nil {
		return failed(err)
	}
	ctx, cancel := timeout(ctx, r)
	defer cancel()
	rotation, err := client.Rotate(ctx, r.key())
	if err != nil {
		return t.failed(err)
	}
	return ok(map[string]any{"previous_generation": rotation.PreviousGeneration, "generation": rotation.Generation})
}

func (t *testee) clientList(ctx context.Context, r *request) answer {
	client, err := t.client(r)
	if err != nil {
		return failed(err)
	}
	ctx, cancel := timeout(ctx, r)
	defer cancel()
	page, err := client.List(ctx, mintonce.ListOptions{Client: r.Client, PageSize: r.PageSize, PageToken: r.PageToken})
	if err != nil {
		return t.failed(err)
	}
	tokens := []any{}
	for _, each := range page.Tokens {
		tokens = append(tokens, map[string]any{
			"client": each.Key.Client, "audience": each.Key.Audience, "scopes": append([]string{}, each.Key.Scopes...),
			"generation": each.Generation,
		})
	}
	return ok(map[string]any{"tokens": tokens, "next_page_token": page.NextPageToken})
}
