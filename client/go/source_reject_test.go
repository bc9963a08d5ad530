package mintonce_test

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	mintonce "github.com/mintonce/mintonce/client/go"
	"github.com/mintonce/mintonce/client/go/internal/scripted"
)

func TestRejectBringsTheSuccessor(t *testing.T) {
	server := scripted.New(t)
	source := open(t, server)
	newer, err := source.Reject(t.Context(), get(t, source))
	if err != nil || newer.Generation() != 102 {
		t.Fatalf("got %v, %v", newer, err)
	}
	if rejects, gets := server.Calls(scripted.Reject), server.Calls(scripted.Get); rejects != 1 || gets != 2 {
		t.Errorf("%d reports, %d fetches", rejects, gets)
	}
}

func TestManyRejectsOfOneGenerationAreOneReport(t *testing.T) {
	server := scripted.New(t)
	source := open(t, server)
	token := get(t, source)
	for _, each := range together(50, func() (*mintonce.Token, error) { return source.Reject(t.Context(), token) }, nil) {
		if each.err != nil || each.token.Generation() != 102 {
			t.Fatalf("got %v, %v", each.token, each.err)
		}
	}
	if calls := server.Calls(scripted.Reject); calls != 1 {
		t.Errorf("%d reports", calls)
	}
	// An old generation: the current token, and no call.
	if newer, err := source.Reject(t.Context(), token); err != nil || newer.Generation() != 102 {
		t.Errorf("got %v, %v", newer, err)
	}
	if calls := server.Calls(scripted.Reject); calls != 1 {
		t.Errorf("%d reports", calls)
	}
}

func TestARefusedReportLeavesTheTokenInUse(t *testing.T) {
	server := scripted.New(t)
	source := open(t, server)
	token := get(t, source)
	server.Fail(scripted.Reject, scripted.Failure(codes.ResourceExhausted, "ROTATION_TOO_SOON", 10*time.Second))
	var first *mintonce.Error
	for range 3 {
		_, err := source.Reject(t.Context(), token)
		failure := asError(t, err)
		if failure.Reason != "ROTATION_TOO_SOON" || failure.RetryAfter != 10*time.Second ||
			!errors.Is(err, mintonce.ErrUnavailable) || failure == first {
			t.Fatalf("got %v", err)
		}
		first = failure
		if got := get(t, source); got != token {
			t.Errorf("got %v", got)
		}
	}
	if calls := server.Calls(scripted.Reject); calls != 1 {
		t.Errorf("%d reports", calls)
	}
}

func TestAfterARejectNothingDeadIsServed(t *testing.T) {
	server := scripted.New(t)
	source := open(t, server)
	token := get(t, source)
	server.Fail(scripted.Get, scripted.Failure(codes.FailedPrecondition, "ISSUER_REFUSED", 0, "issuer_error", "invalid_client"))
	_, err := source.Reject(t.Context(), token)
	if failure := asError(t, err); failure.Reason != "ISSUER_REFUSED" || failure.IssuerError != "invalid_client" ||
		!errors.Is(err, mintonce.ErrRefused) {
		t.Errorf("got %v", err)
	}
	if got, err := source.Peek(); !errors.Is(err, mintonce.ErrExpired) {
		t.Errorf("Peek gives %v, %v", got, err)
	}
	if got, err := source.Token(t.Context()); !errors.Is(err, mintonce.ErrExpired) {
		t.Errorf("got %v, %v", got, err)
	}
}
