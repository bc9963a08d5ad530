package mintonce

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"

	pb "github.com/mintonce/mintonce/client/go/mintoncev1"
)

// Retries cover a replica that goes away: a second is enough for another one to answer. RotateToken is not among them,
// since each one mints. CANCELLED is what a server says that is flooded and drops calls before it has looked at them; gRPC
// does not repeat calls that the application cancels. A client all of whose calls fail stops repeating them.
// All addresses of the name are used in turn: replicas share the load, and a call whose replica has gone has others.
const serviceConfig = `{
	"loadBalancingConfig": [{"round_robin": {}}],
	"methodConfig": [{
		"name": [
			{"service": "mintonce.v1.TokenService"},
			{"service": "mintonce.v1.AdminService", "method": "ListTokens"}
		],
		"retryPolicy": {
			"maxAttempts": 4,
			"initialBackoff": "0.1s",
			"maxBackoff": "1s",
			"backoffMultiplier": 2.0,
			"retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"]
		}
	}],
	"retryThrottling": {"maxTokens": 10, "tokenRatio": 0.5}
}`

// connection gives each call its line: a channel with the stubs on it, replaced when the files change that its credentials
// are made of. A replaced line closes when its last call and watch are over.
type connection struct {
	link   link
	way    way
	bearer *watched[func() string]                    // nil: none
	tls    *watched[credentials.TransportCredentials] // nil: in clear

	mu          sync.Mutex
	credentials credentials.TransportCredentials
	line        *line
	lines       map[*line]struct{} // those that are open
	closed      bool
}

type line struct {
	conn   *grpc.ClientConn
	tokens pb.TokenServiceClient
	admin  pb.AdminServiceClient
	users  int
}

func connect(s *settings) (*connection, error) {
	chosen, err := s.chooseWay()
	if err != nil {
		return nil, err
	}
	c := &connection{way: chosen, lines: make(map[*line]struct{})}
	c.link = link{target: chosen.target, mayUseProxy: !c.inClearAndLocal()}
	if chosen.bearerFile != "" {
		if c.bearer, err = watchBearer(chosen.bearerFile, s.logger); err != nil {
			return nil, err
		}
	}
	c.credentials = insecure.NewCredentials()
	if chosen.tls != nil {
		if c.tls, err = watchTLS(*chosen.tls, s.logger); err != nil {
			return nil, err
		}
		c.credentials = c.tls.current()
		c.link.tls, c.link.serverName = true, chosen.tls.ServerName
		c.link.showsCertificate = chosen.tls.CertificateFile != ""
	}
	if c.line, err = c.dial(); err != nil {
		return nil, err
	}
	return c, nil
}

// open returns the line for a new call, and the call's context with what identifies the caller. Call release when the call
// is over.
func (c *connection) open(ctx context.Context) (_ context.Context, l *line, release func(), err error) {
	if c.bearer != nil {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", c.bearer.current()())
	}
	var current credentials.TransportCredentials
	if c.tls != nil {
		current = c.tls.current()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, nil, closedError("client")
	}
	if current != nil && current != c.credentials {
		c.credentials = current
		fresh, err := c.dial()
		if err != nil {
			return nil, nil, nil, err
		}
		old := c.line
		c.line = fresh
		c.closeIfDone(old)
	}
	l = c.line
	l.users++
	return ctx, l, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		l.users--
		c.closeIfDone(l)
	}, nil
}

// close ends what is under way.
func (c *connection) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for l := range c.lines {
		_ = l.conn.Close() // it fails only when it is closed already
		delete(c.lines, l)
	}
}

func (c *connection) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// closeIfDone closes a line that was replaced and has no users. With the lock held.
func (c *connection) closeIfDone(l *line) {
	if _, open := c.lines[l]; open && l != c.line && l.users == 0 {
		_ = l.conn.Close()
		delete(c.lines, l)
	}
}

// dial makes a line. gRPC connects when the first call is made.
func (c *connection) dial() (*line, error) {
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(c.credentials),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithDisableServiceConfig(), // a name server has no say in it
		// A watch may be silent for a day: pings keep it from being forgotten on the way, and show when it is dead.
		// mintonced allows them each 10 seconds. A stricter proxy says so, and gRPC then pings less.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 60 * time.Second, Timeout: 5 * time.Second}),
		// gRPC's own reconnect back-off would grow to two minutes; a restarted server should be found sooner.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second,
			},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithUserAgent("mintonce-go/" + Version),
	}
	if c.inClearAndLocal() {
		// A proxy would lead even loopback, and a bearer with it, to another host.
		options = append(options, grpc.WithNoProxy())
	}
	conn, err := grpc.NewClient(c.way.target, options...)
	if err != nil {
		return nil, invalid(fmt.Sprintf("the target %s is no target of gRPC", visible(c.way.target, maxShown)), whereHint)
	}
	l := &line{conn: conn, tokens: pb.NewTokenServiceClient(conn), admin: pb.NewAdminServiceClient(conn)}
	c.lines[l] = struct{}{}
	return l, nil
}

func (c *connection) inClearAndLocal() bool { return c.way.tls == nil && isLocal(c.way.target) }
