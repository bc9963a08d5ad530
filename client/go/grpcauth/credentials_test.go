package grpcauth_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/credentials/local"
	"google.golang.org/grpc/status"

	mintonce "github.com/mintonce/mintonce/client/go"
	"github.com/mintonce/mintonce/client/go/grpcauth"
	"github.com/mintonce/mintonce/client/go/internal/scripted"
	pb "github.com/mintonce/mintonce/client/go/mintoncev1"
)

func open(t *testing.T) (*mintonce.Source, *scripted.Server) {
	t.Helper()
	server := scripted.New(t)
	source, err := mintonce.NewSource(t.Context(), "billing", mintonce.WithTarget(server.Target()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = source.Close() })
	return source, server
}

// call makes a call of an API, which is here another scripted server.
func call(t *testing.T, target string, options ...grpc.DialOption) error {
	t.Helper()
	conn, err := grpc.NewClient(target, options...)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = pb.NewTokenServiceClient(conn).GetToken(ctx, &pb.GetTokenRequest{})
	return err
}

// certificate is one for 127.0.0.1, and who vouches for it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return server.TLS.Certificates[0], pool
}

func TestEachCallCarriesTheCurrentToken(t *testing.T) {
	source, server := open(t)
	pair, pool := certificate(t)
	api := scripted.New(t, grpc.Creds(credentials.NewServerTLSFromCert(&pair)))
	with := []grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(pool, "")),
		grpc.WithPerRPCCredentials(grpcauth.NewCredentials(source)),
	}
	for range 2 {
		token, err := source.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := call(t, api.Target(), with...); err != nil {
			t.Fatal(err)
		}
		if got := api.Metadata(scripted.Get, "authorization"); len(got) != 1 || got[0] != token.Header() {
			t.Errorf("another header came")
		}
		server.Publish()
		if _, err := source.WaitUntilUpdated(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
}

func TestInClearItGoesToLoopbackAlone(t *testing.T) {
	source, _ := open(t)
	api := scripted.New(t)
	own := grpc.WithPerRPCCredentials(grpcauth.NewCredentials(source))
	err := call(t, api.Target(), grpc.WithTransportCredentials(insecure.NewCredentials()), own)
	if status.Code(err) != codes.Unauthenticated || api.Calls(scripted.Get) != 0 {
		t.Errorf("it went in clear: %v", err)
	}
	if err := call(t, api.Target(), grpc.WithTransportCredentials(local.NewCredentials()), own); err != nil {
		t.Errorf("over loopback: %v", err)
	}
	// An address of this host that is not loopback.
	address := ownAddress(t)
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Skip("no address but loopback: ", err)
	}
	before := api.Calls(scripted.Get)
	api.Stop()
	api.Serve(listener)
	if err := call(t, listener.Addr().String(), grpc.WithTransportCredentials(local.NewCredentials()), own); err == nil {
		t.Error("it went in clear to ", address)
	}
	if api.Calls(scripted.Get) != before {
		t.Error("the call arrived")
	}
}

func ownAddress(t *testing.T) string {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Skip(err)
	}
	for _, each := range addresses {
		if network, is := each.(*net.IPNet); is && !network.IP.IsLoopback() && network.IP.To4() != nil {
			return network.IP.String()
		}
	}
	t.Skip("this host has no address but loopback")
	return ""
}

func TestWithoutATokenTheCallFailsAtOnce(t *testing.T) {
	source, _ := open(t)
	api := scripted.New(t)
	_ = source.Close()
	err := call(t, api.Target(), grpc.WithTransportCredentials(local.NewCredentials()),
		grpc.WithPerRPCCredentials(grpcauth.NewCredentials(source)))
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "CLOSED") {
		t.Errorf("got %v", err)
	}
}

func TestUnauthenticatedRejectsTheToken(t *testing.T) {
	for name, repeats := range map[string]bool{"without a repeat": false, "with one": true} {
		t.Run(name, func(t *testing.T) {
			source, server := open(t)
			api := scripted.New(t)
			api.FailTimes(scripted.Get, status.Error(codes.Unauthenticated, "the API's own"), 1)
			var options []grpcauth.Option
			if repeats {
				options = append(options, grpcauth.WithRepeat())
			}
			err := call(t, api.Target(), grpc.WithTransportCredentials(local.NewCredentials()),
				grpc.WithPerRPCCredentials(grpcauth.NewCredentials(source)),
				grpc.WithUnaryInterceptor(grpcauth.UnaryClientInterceptor(source, options...)))
			if (err == nil) != repeats || server.Calls(scripted.Reject) != 1 {
				t.Errorf("got %v after %d rejections", err, server.Calls(scripted.Reject))
			}
			if err == nil && repeats && api.Metadata(scripted.Get, "authorization")[0] != "Bearer secret-102" {
				t.Error("the repeated call carried another token")
			}
		})
	}
}

func TestARefusedRejectionGivesTheAPIsOwnError(t *testing.T) {
	source, server := open(t)
	server.Fail(scripted.Reject, scripted.Failure(codes.ResourceExhausted, "ROTATION_TOO_SOON", time.Minute))
	api := scripted.New(t)
	api.Fail(scripted.Get, status.Error(codes.Unauthenticated, "the API's own"))
	var log bytes.Buffer
	err := call(t, api.Target(), grpc.WithTransportCredentials(local.NewCredentials()),
		grpc.WithPerRPCCredentials(grpcauth.NewCredentials(source)),
		grpc.WithUnaryInterceptor(grpcauth.UnaryClientInterceptor(source, grpcauth.WithRepeat(),
			grpcauth.WithLogger(slog.New(slog.NewTextHandler(io.Writer(&log), nil))))))
	if status.Convert(err).Message() != "the API's own" || strings.Count(log.String(), "level=WARN") != 1 ||
		strings.Contains(log.String(), "secret") {
		t.Errorf("got %v and the log %s", err, log.String())
	}
}
