package scripted

import (
	"context"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/mintonce/mintonce/client/go/mintoncev1"
)

func (s *Server) enter(ctx context.Context, method string) error {
	s.mu.Lock()
	s.calls[method]++
	s.metadata[method], _ = metadata.FromIncomingContext(ctx)
	gate := s.holds[method]
	failure, fails := s.failures[method]
	if fails && failure.left > 0 {
		failure.left--
		s.failures[method] = failure
		if failure.left == 0 {
			delete(s.failures, method)
		}
	}
	trailer := s.trailer
	s.mu.Unlock()
	if fails && trailer != nil {
		_ = grpc.SetTrailer(ctx, trailer)
	}
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if fails {
		return failure.err
	}
	return nil
}

// GetToken implements the API.
func (s *Server) GetToken(ctx context.Context, _ *pb.GetTokenRequest) (*pb.GetTokenResponse, error) {
	if err := s.enter(ctx, Get); err != nil {
		return nil, withPushback(ctx, err)
	}
	s.mu.Lock()
	if s.lost {
		s.publish(s.generation + 1)
	}
	response, delay := &pb.GetTokenResponse{Token: s.token}, s.delay
	s.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
		}
	}
	return response, nil
}

// WatchToken implements the API.
func (s *Server) WatchToken(_ *pb.WatchTokenRequest, stream grpc.ServerStreamingServer[pb.WatchTokenResponse]) error {
	if err := s.enter(stream.Context(), Watch); err != nil {
		return withPushback(stream.Context(), err)
	}
	s.mu.Lock()
	s.watching++
	s.watchNotice = nil
	stopped := s.stopped
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.watching--
		s.mu.Unlock()
	}()
	var sent *pb.Token
	for {
		s.mu.Lock()
		token, lost, changed, notice := s.token, s.lost, s.changed, s.watchNotice
		s.mu.Unlock()
		if notice != nil {
			if notice == errOK {
				return nil
			}
			return withPushback(stream.Context(), notice)
		}
		if token != sent && !lost {
			if err := stream.Send(&pb.WatchTokenResponse{Token: token}); err != nil {
				return err
			}
			sent = token
			continue
		}
		select {
		case <-changed:
		case <-stopped:
			return nil
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

// RejectToken implements the API.
func (s *Server) RejectToken(ctx context.Context, request *pb.RejectTokenRequest) (*pb.RejectTokenResponse, error) {
	if err := s.enter(ctx, Reject); err != nil {
		return nil, withPushback(ctx, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	current := !s.lost && (request.GetGeneration() == s.generation || request.GetAccessTokenSha256() != nil)
	if current {
		s.lost = true
	}
	return &pb.RejectTokenResponse{WasCurrent: current}, nil
}

// ListTokens implements the API, with two pages.
func (s *Server) ListTokens(ctx context.Context, request *pb.ListTokensRequest) (*pb.ListTokensResponse, error) {
	if err := s.enter(ctx, List); err != nil {
		return nil, withPushback(ctx, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	response := &pb.ListTokensResponse{Tokens: []*pb.TokenSummary{{
		Key: &pb.TokenKey{Client: request.GetClient()}, Generation: s.generation, ExpiresIn: durationpb.New(s.lifetime),
	}}}
	if request.GetPageToken() == "" {
		response.NextPageToken = "2"
	}
	return response, nil
}

// RotateToken implements the API.
func (s *Server) RotateToken(ctx context.Context, _ *pb.RotateTokenRequest) (*pb.RotateTokenResponse, error) {
	if err := s.enter(ctx, Rotate); err != nil {
		return nil, withPushback(ctx, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	previous := s.generation
	return &pb.RotateTokenResponse{PreviousGeneration: previous, Generation: s.publish(previous + 1)}, nil
}

// pushback marks an error that comes with the trailer that stops automatic retries.
type pushback struct{ error }

// Unwrap returns the error that is sent.
func (p pushback) Unwrap() error { return p.error }

func withPushback(ctx context.Context, err error) error {
	if marked, is := err.(pushback); is {
		_ = grpc.SetTrailer(ctx, metadata.Pairs("grpc-retry-pushback-ms", "-1"))
		return marked.error
	}
	return err
}

// Failure is an error as a mintonced sends it. retryAfter 0: none.
func Failure(code codes.Code, reason string, retryAfter time.Duration, metadata ...string) error {
	info := &errdetails.ErrorInfo{
		Reason: reason, Domain: "mintonce", Metadata: map[string]string{"remedy": "Mend it.", "request_id": "r-1"},
	}
	for i := 0; i+1 < len(metadata); i += 2 {
		info.Metadata[metadata[i]] = metadata[i+1]
	}
	details := []protoadapt.MessageV1{protoadapt.MessageV1Of(info)}
	if retryAfter > 0 {
		details = append(details, protoadapt.MessageV1Of(&errdetails.RetryInfo{RetryDelay: durationpb.New(retryAfter)}))
	}
	state, err := status.New(code, "it said "+reason).WithDetails(details...)
	if err != nil {
		panic(err)
	}
	if reason == "DRAINING" {
		return state.Err()
	}
	return pushback{state.Err()}
}
