// Package scripted is a peer for tests: a real gRPC server that says what a test tells it to, and counts what it was asked.
package scripted

import (
	"fmt"
	"log"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
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
