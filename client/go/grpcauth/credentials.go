// Package grpcauth sends a source's token with gRPC calls to APIs of the same OAuth domain.
//
//	conn, err := grpc.NewClient(target,
//		grpc.WithTransportCredentials(credentials.NewTLS(nil)),
//		grpc.WithPerRPCCredentials(grpcauth.NewCredentials(source)),
//		grpc.WithUnaryInterceptor(grpcauth.UnaryClientInterceptor(source)))
package grpcauth

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	mintonce "github.com/mintonce/mintonce/client/go"
)

// NewCredentials returns credentials that add `authorization: Bearer …` to each call. They read memory and never wait:
// without a live token, the call fails with UNAVAILABLE.
//
// They need TLS. In clear they send the token only over connections of google.golang.org/grpc/credentials/local, which gRPC
// itself holds to Unix sockets and loopback.
func NewCredentials(source *mintonce.Source) credentials.PerRPCCredentials { return perRPC{source} }

type perRPC struct{ source *mintonce.Source }

func (c perRPC) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	info, known := credentials.RequestInfoFromContext(ctx)
	if !known || info.AuthInfo == nil {
		return nil, status.Error(codes.Unauthenticated, "mintonce: the connection does not say whether it is secure")
	}
	if info.AuthInfo.AuthType() != "local" {
		if err := credentials.CheckSecurityLevel(info.AuthInfo, credentials.PrivacyAndIntegrity); err != nil {
			return nil, status.Error(codes.Unauthenticated,
				"mintonce: the token would travel in clear: use TLS, or credentials/local for loopback and Unix sockets")
		}
	}
	token, err := c.source.Peek()
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	if sent, is := ctx.Value(sentKey{}).(*atomic.Pointer[mintonce.Token]); is {
		sent.Store(token)
	}
	return map[string]string{"authorization": token.Header()}, nil
}

// RequireTransportSecurity leaves it to GetRequestMetadata, for gRPC counts loopback as insecure, whoever the peer is.
func (perRPC) RequireTransportSecurity() bool { return false }

// Format names the source for every verb: fmt must not look into what changes meanwhile.
func (c perRPC) Format(state fmt.State, _ rune) {
	_, _ = fmt.Fprintf(state, "grpcauth credentials of %s", c.source)
}

// sentKey is where the interceptor learns which token a call carried.
type sentKey struct{}

// Option changes what the interceptor does.
type Option func(*interceptor)

// WithRepeat makes the interceptor repeat a refused call once with the successor. Ask for it only when the API does nothing
// before it looks at the token.
func WithRepeat() Option { return func(i *interceptor) { i.repeat = true } }

// WithLogger is where a warning goes when the token could not be replaced. Default: slog.Default().
func WithLogger(logger *slog.Logger) Option { return func(i *interceptor) { i.logger = logger } }

type interceptor struct {
	source *mintonce.Source
	repeat bool
	logger *slog.Logger
}

// UnaryClientInterceptor rejects the token of a call that fails with UNAUTHENTICATED, where the call carried one of
// NewCredentials. The caller gets the API's own error, unless WithRepeat is given and the repeated call succeeds.
func UnaryClientInterceptor(source *mintonce.Source, options ...Option) grpc.UnaryClientInterceptor {
	i := &interceptor{source: source}
	for _, option := range options {
		option(i)
	}
	return i.intercept
}

func (i *interceptor) intercept(
	ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker,
	options ...grpc.CallOption,
) error {
	var sent atomic.Pointer[mintonce.Token]
	ctx = context.WithValue(ctx, sentKey{}, &sent)
	err := invoke(ctx, method, request, reply, conn, options...)
	token := sent.Load()
	if token == nil || status.Code(err) != codes.Unauthenticated {
		return err
	}
	if _, rejection := i.source.Reject(ctx, token); rejection != nil {
		if ctx.Err() == nil {
			i.warn(rejection)
		}
		return err
	}
	if !i.repeat {
		return err
	}
	return invoke(ctx, method, request, reply, conn, options...)
}

func (i *interceptor) warn(err error) {
	logger := i.logger
	if logger == nil {
		logger = slog.Default()
	}
	logger.Warn("mintonce: the API answered UNAUTHENTICATED, and the token could not be replaced", "error", err.Error())
}
