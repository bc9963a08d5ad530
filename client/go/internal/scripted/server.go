// Package scripted is a peer for tests: a real gRPC server that says what a test tells it to, and counts what it was asked.
package scripted

import (
	"context"
	"fmt"
	"log"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/mintonce/mintonce/client/go/mintoncev1"
)

// The names of the methods, for Calls, Fail and Hold.
const (
	Get    = "GetToken"
	Watch  = "WatchToken"
	Reject = "RejectToken"
	List   = "ListTokens"
	Rotate = "RotateToken"
)

// Server serves one token, which the test publishes. RejectToken drops it, and GetToken then publishes the next.
type Server struct {
	pb.UnimplementedTokenServiceServer
	pb.UnimplementedAdminServiceServer

	fatal   func(...any)
	options []grpc.ServerOption

	mu          sync.Mutex
	address     string
	server      *grpc.Server
	stopped     chan struct{}
	changed     chan struct{}
	token       *pb.Token
	lost        bool // the token was rejected
	generation  int64
	lifetime    time.Duration
	refresh     time.Duration
	calls       map[string]int
	metadata    map[string]metadata.MD // of the last call
	failures    map[string]failure
	holds       map[string]chan struct{}
	watching    int
	watchNotice error
	delay       time.Duration
	trailer     metadata.MD
}

type failure struct {
	err  error
	left int // < 0: for good
}

// New starts a server, with a token that has generation 101. It ends with the test.
func New(t testing.TB, options ...grpc.ServerOption) *Server {
	t.Helper()
	s := newServer(t.Fatal, options)
	t.Cleanup(s.Stop)
	return s
}

// NewOutsideTests is New for examples, which have no testing.TB.
func NewOutsideTests() (s *Server, stop func()) {
	s = newServer(log.Fatal, nil)
	return s, s.Stop
}

func newServer(fatal func(...any), options []grpc.ServerOption) *Server {
	s := &Server{
		fatal: fatal, options: options, address: "127.0.0.1:0", changed: make(chan struct{}), generation: 100,
		lifetime: time.Hour, refresh: 48 * time.Minute, calls: map[string]int{}, metadata: map[string]metadata.MD{},
		failures: map[string]failure{}, holds: map[string]chan struct{}{},
	}
	s.Publish()
	s.Start()
	return s
}

// Target is where it listens.
func (s *Server) Target() string { return s.address }

// Start starts it again on the same address, after Stop.
func (s *Server) Start() {
	var listener net.Listener
	var err error
	for range 100 { // the port of a moment ago may be busy for a moment
		if listener, err = net.Listen("tcp", s.address); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		s.fatal(err)
	}
	s.Serve(listener)
}

// Serve is Start on a listener of the test's.
func (s *Server) Serve(listener net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.address = listener.Addr().String()
	s.stopped = make(chan struct{})
	s.server = grpc.NewServer(append([]grpc.ServerOption{
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second}),
	}, s.options...)...)
	pb.RegisterTokenServiceServer(s.server, s)
	pb.RegisterAdminServiceServer(s.server, s)
	server := s.server
	go func() { _ = server.Serve(listener) }()
}

// Stop closes the listener and all connections.
func (s *Server) Stop() {
	s.mu.Lock()
	server := s.server
	if server != nil {
		close(s.stopped)
		s.server = nil
	}
	s.mu.Unlock()
	if server != nil {
		server.Stop()
	}
}

// Lives sets the lifetime of later tokens, and when they are due for a refresh.
func (s *Server) Lives(lifetime, refresh time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lifetime, s.refresh = lifetime, refresh
}

// Publish makes the next token the current one. Watches get it.
func (s *Server) Publish() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.publish(s.generation + 1)
}

// PublishGeneration is Publish with a generation of the test's choice.
func (s *Server) PublishGeneration(generation int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.publish(generation)
}

func (s *Server) publish(generation int64) int64 {
	s.generation, s.lost = generation, false
	s.token = &pb.Token{
		AccessToken: fmt.Sprintf("secret-%d", generation), TokenType: "Bearer", Generation: generation,
		ExpiresIn: durationpb.New(s.lifetime), RefreshIn: durationpb.New(s.refresh),
		ExpireTime: timestamppb.New(time.Now().Add(s.lifetime)), Origin: pb.Origin_ORIGIN_MINT, Scopes: []string{"a", "b"},
	}
	s.notify()
	return generation
}

// Change alters the current token. Watches do not get it.
func (s *Server) Change(change func(*pb.Token)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s.token)
}

// RawTrailer comes with each failure.
func (s *Server) RawTrailer(name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trailer = metadata.Pairs(name, value)
}

// Delay makes GetToken answer so much later, with what it had when the call came.
func (s *Server) Delay(delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = delay
}

// Fail lets a method fail until Mend.
func (s *Server) Fail(method string, err error) { s.FailTimes(method, err, -1) }

// FailTimes lets the next calls of a method fail.
func (s *Server) FailTimes(method string, err error, times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures[method] = failure{err, times}
}

// Mend ends Fail.
func (s *Server) Mend(method string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.failures, method)
}

// EndWatches ends the open watches with an error; nil for OK.
func (s *Server) EndWatches(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		err = errOK
	}
	s.watchNotice = err
	s.notify()
}

var errOK = fmt.Errorf("end with OK")

// Hold lets calls of a method wait until the function that it returns is called.
func (s *Server) Hold(method string) (release func()) {
	gate := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds[method] = gate
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.holds, method)
		close(gate)
	})
}

// Calls says how often a method was called.
func (s *Server) Calls(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[method]
}

// Metadata is what the last call of a method brought along.
func (s *Server) Metadata(method, name string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.metadata[method].Get(name)
}

// Watching says how many watches are open.
func (s *Server) Watching() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watching
}

func (s *Server) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

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
