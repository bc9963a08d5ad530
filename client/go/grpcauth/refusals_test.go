package grpcauth_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/local"
	"google.golang.org/grpc/status"

	mintonce "github.com/mintonce/mintonce/client/go"
	"github.com/mintonce/mintonce/client/go/grpcauth"
	"github.com/mintonce/mintonce/client/go/internal/scripted"
	pb "github.com/mintonce/mintonce/client/go/mintoncev1"
)

// noSecret checks all forms of an error.
func noSecret(t *testing.T, err error) {
	t.Helper()
	for _, form := range []string{"%v", "%+v", "%#v", "%q"} {
		if text := fmt.Sprintf(form, err); strings.Contains(text, "secret-") {
			t.Errorf("%s shows the token", form)
		}
	}
}

func TestTheSourcesErrorIsUnavailable(t *testing.T) {
	expired := func(t *testing.T) *mintonce.Source {
		server := scripted.New(t)
		server.Lives(100*time.Millisecond, 100*time.Millisecond)
		server.Publish()
		source, err := mintonce.NewSource(t.Context(), "billing", mintonce.WithTarget(server.Target()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = source.Close() })
		for _, method := range []string{scripted.Get, scripted.Watch} { // either would bring a live token
			server.Fail(method, scripted.Failure(codes.FailedPrecondition, "ISSUER_REFUSED", 0))
		}
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			if _, err := source.Peek(); err != nil {
				return source
			}
		}
		t.Fatal("the token has no end")
		return nil
	}
	closed := func(t *testing.T) *mintonce.Source {
		source, _ := open(t)
		_ = source.Close()
		return source
	}
	for reason, end := range map[string]func(*testing.T) *mintonce.Source{"TOKEN_EXPIRED": expired, "CLOSED": closed} {
		t.Run(reason, func(t *testing.T) {
			source, api := end(t), scripted.New(t)
			err := call(t, api.Target(), grpc.WithTransportCredentials(local.NewCredentials()),
				grpc.WithPerRPCCredentials(grpcauth.NewCredentials(source)))
			if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), reason) {
				t.Errorf("got %v", err)
			}
			if api.Calls(scripted.Get) != 0 {
				t.Error("the call arrived")
			}
			noSecret(t, err)
		})
	}
}

func TestAServerThatNobodyVouchesForGetsNothing(t *testing.T) {
	source, _ := open(t)
	pair, _ := certificate(t)
	api := scripted.New(t, grpc.Creds(credentials.NewServerTLSFromCert(&pair)))
	err := call(t, api.Target(), grpc.WithTransportCredentials(credentials.NewTLS(nil)),
		grpc.WithPerRPCCredentials(grpcauth.NewCredentials(source)))
	if status.Code(err) != codes.Unavailable || api.Calls(scripted.Get) != 0 {
		t.Errorf("got %v after %d calls", err, api.Calls(scripted.Get))
	}
	noSecret(t, err)
}

func TestAStreamCarriesTheToken(t *testing.T) {
	source, _ := open(t)
	pair, pool := certificate(t)
	api := scripted.New(t, grpc.Creds(credentials.NewServerTLSFromCert(&pair)))
	conn, err := grpc.NewClient(api.Target(),
		grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(pool, "")),
		grpc.WithPerRPCCredentials(grpcauth.NewCredentials(source)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	stream, err := pb.NewTokenServiceClient(conn).WatchToken(ctx, &pb.WatchTokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	token, err := source.Peek()
	if err != nil {
		t.Fatal(err)
	}
	if got := api.Metadata(scripted.Watch, "authorization"); len(got) != 1 || got[0] != token.Header() {
		t.Error("another header came")
	}
}

func TestACallWithoutOurTokenRejectsNothing(t *testing.T) {
	source, server := open(t)
	api := scripted.New(t)
	api.Fail(scripted.Get, status.Error(codes.Unauthenticated, "the API's own"))
	err := call(t, api.Target(), grpc.WithTransportCredentials(local.NewCredentials()),
		grpc.WithUnaryInterceptor(grpcauth.UnaryClientInterceptor(source, grpcauth.WithRepeat())))
	if status.Convert(err).Message() != "the API's own" || server.Calls(scripted.Reject) != 0 || api.Calls(scripted.Get) != 1 {
		t.Errorf("got %v after %d rejections and %d calls", err, server.Calls(scripted.Reject), api.Calls(scripted.Get))
	}
}

func TestOtherErrorsRejectNothing(t *testing.T) {
	source, server := open(t)
	api := scripted.New(t)
	api.Fail(scripted.Get, status.Error(codes.PermissionDenied, "the API's own"))
	err := call(t, api.Target(), grpc.WithTransportCredentials(local.NewCredentials()),
		grpc.WithPerRPCCredentials(grpcauth.NewCredentials(source)),
		grpc.WithUnaryInterceptor(grpcauth.UnaryClientInterceptor(source, grpcauth.WithRepeat())))
	if status.Code(err) != codes.PermissionDenied || server.Calls(scripted.Reject) != 0 || api.Calls(scripted.Get) != 1 {
		t.Errorf("got %v after %d rejections and %d calls", err, server.Calls(scripted.Reject), api.Calls(scripted.Get))
	}
}

func TestACallerWhoLeavesDuringTheRejectionIsNoWarning(t *testing.T) {
	source, server := open(t)
	release := server.Hold(scripted.Reject)
	defer release()
	api := scripted.New(t)
	api.Fail(scripted.Get, status.Error(codes.Unauthenticated, "the API's own"))
	var log bytes.Buffer
	conn, err := grpc.NewClient(api.Target(), grpc.WithTransportCredentials(local.NewCredentials()),
		grpc.WithPerRPCCredentials(grpcauth.NewCredentials(source)),
		grpc.WithUnaryInterceptor(grpcauth.UnaryClientInterceptor(source, grpcauth.WithRepeat(),
			grpcauth.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	go func() {
		for server.Calls(scripted.Reject) == 0 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		leave()
	}()
	_, err = pb.NewTokenServiceClient(conn).GetToken(ctx, &pb.GetTokenRequest{})
	if status.Convert(err).Message() != "the API's own" || api.Calls(scripted.Get) != 1 || log.Len() != 0 {
		t.Errorf("got %v after %d calls, and the log %s", err, api.Calls(scripted.Get), log.String())
	}
	noSecret(t, err)
}

func TestTheCredentialsNameTheirSource(t *testing.T) {
	source, _ := open(t)
	own := grpcauth.NewCredentials(source)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		if text := fmt.Sprintf(verb, own); !strings.Contains(text, source.String()) || strings.Contains(text, "secret") {
			t.Errorf("%s: %s", verb, text)
		}
	}
	if own.RequireTransportSecurity() {
		t.Error("gRPC would refuse loopback before the credentials are asked")
	}
}
