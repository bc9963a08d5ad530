package mintonce

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Source keeps the token of one key at hand. It is safe for concurrent use.
//
// From NewSource on, Token and Peek read memory: no call, no lock. A goroutine of the source's own watches for successors
// and fetches them when no watch brings them. The server may restart or be away: the token is served until it expires.
type Source struct {
	client  *Client
	owned   bool // the client is the source's own
	key     Key
	timeout time.Duration

	// latest is the follower's token, for readers. Nil when there is none, and after Close.
	latest atomic.Pointer[snapshot]

	updated chan struct{}
	stop    context.CancelFunc
	stopped chan struct{} // closed when the goroutine has ended

	mu       sync.Mutex
	follower *follower
	shown    *Token        // what readers were shown last
	changed  chan struct{} // closed and replaced at each change of the follower
	kick     chan struct{} // capacity 1: wakes the goroutine from a pause or a watch
	closed   bool
}

// snapshot is a token with its end as time since base.
type snapshot struct {
	token *Token
	end   time.Duration
}

// live returns the token if it has not expired.
//
// Each read looks at the clock, though that takes longer than all the rest of it. Nothing else is right at once after the
// process was stopped: timers fire a moment late, and readers would be first.
func (s *Source) live() *Token {
	if latest := s.latest.Load(); latest != nil && time.Since(base) < latest.end {
		return latest.token
	}
	return nil
}

// NewSource returns a source for the token of a client, which is the name under which the OAuth client is registered with
// the server. It returns when the first token is here, or with an [Error].
//
// ctx bounds only this first fetch, not the life of the source. Close ends the source.
func NewSource(ctx context.Context, client string, options ...SourceOption) (*Source, error) {
	settings, err := sourceSettings(options)
	if err != nil {
		return nil, err
	}
	s := &Source{
		client:  settings.client,
		key:     Key{Client: client, Audience: settings.audience, Scopes: settings.scopes},
		timeout: settings.timeout,
		updated: make(chan struct{}, 1),
		stopped: make(chan struct{}),
		changed: make(chan struct{}),
		kick:    make(chan struct{}, 1),
	}
	if s.client == nil {
		if s.client, err = newClient(settings); err != nil {
			return nil, err
		}
		s.owned = true
	}
	first, err := s.first(ctx, settings.waitForServer)
	if err != nil {
		s.release()
		return nil, err
	}
	s.follower = newFollower(first, now(), rand.Float64)
	s.show()
	running, stop := context.WithCancel(context.Background())
	s.stop = stop
	go s.run(running)
	return s, nil
}

// Token returns the live token. It reads memory, whatever the state of ctx. Only when the token is over does it wait for a
// successor, until ctx ends, or for the timeout if ctx has no deadline.
//
// It fails with ErrExpired when no successor comes, at once while the last fetch has failed and the next is not due.
func (s *Source) Token(ctx context.Context) (*Token, error) {
	if token := s.live(); token != nil {
		return token, nil
	}
	return s.await(ctx)
}

// Peek returns the live token and never waits. It fails with ErrExpired if there is none.
func (s *Source) Peek() (*Token, error) {
	if token := s.live(); token != nil {
		return token, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, closedError("source")
	}
	if token := s.follower.live(now()); token != nil {
		return token, nil
	}
	return nil, s.follower.expired()
}

// Reject reports that a resource server refused the token (401). It returns the successor when that is here.
//
// The server gets one report for each generation, however many callers report it; later callers get the successor at once.
// When the report is refused, such as for too many rotations, the token stays in use and the [Error] says why.
func (s *Source) Reject(ctx context.Context, token *Token) (*Token, error) {
	if token == nil {
		return nil, mistake("Reject: the token is nil")
	}
	generation := token.generation
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, closedError("source")
	}
	if newer := s.follower.successor(generation, now()); newer != nil {
		s.mu.Unlock()
		return newer, nil
	}
	if err := s.follower.wantReport(generation, now()); err != nil {
		s.mu.Unlock()
		return nil, err
	}
	seen := s.follower.reportSetbacks
	s.wake()
	s.mu.Unlock()
	var failed *Error
	newer, err := s.wait(ctx, func(f *follower) (*Token, bool) {
		if newer := f.successor(generation, now()); newer != nil {
			return newer, true
		}
		if f.reportSetbacks != seen && f.reportError != nil {
			failed = f.reportError.again()
			return nil, true
		}
		return nil, false
	})
	switch {
	case failed != nil:
		return nil, failed
	case errors.Is(err, context.DeadlineExceeded):
		return nil, noSuccessor(own(ctx)...)
	}
	return newer, err
}

// Updated returns a channel that gets a value when a newer token is here. Its capacity is 1 and it belongs to the source:
// one goroutine may receive from it. Several wait with WaitUntilUpdated instead.
func (s *Source) Updated() <-chan struct{} { return s.updated }

// WaitUntilUpdated returns a live token that is newer than the given one, as soon as it is here. It waits until ctx ends, or
// for the timeout if ctx has no deadline.
func (s *Source) WaitUntilUpdated(ctx context.Context, than *Token) (*Token, error) {
	if than == nil {
		return nil, mistake("WaitUntilUpdated: the token is nil")
	}
	newer, err := s.wait(ctx, func(f *follower) (*Token, bool) {
		newer := f.successor(than.generation, now())
		return newer, newer != nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, noSuccessor(own(ctx)...)
	}
	return newer, err
}

// Close ends the source, and its client if that is its own. Whoever waits gets ErrClosed, and so do later calls. It returns
// when the source's goroutine has ended; it always returns nil.
func (s *Source) Close() error {
	s.mu.Lock()
	s.closed = true
	s.latest.Store(nil)
	s.notify()
	s.mu.Unlock()
	s.stop()
	<-s.stopped
	s.release()
	return nil
}

// String names the source by its key.
func (s *Source) String() string {
	return fmt.Sprintf("Source(client=%q, audience=%q, scopes=%q)", s.key.Client, s.key.Audience, s.key.Scopes)
}

// GoString is String, for %#v.
func (s *Source) GoString() string { return s.String() }

// first gets the first token. It waits for a server that is not there yet, for limit at most.
func (s *Source) first(ctx context.Context, limit time.Duration) (*Token, error) {
	giveUpAt := time.Now().Add(limit)
	for failures := 1; ; failures++ {
		token, err := s.client.get(ctx, s.key, s.timeout)
		var failure *Error
		if err == nil || !errors.As(err, &failure) || ctx.Err() != nil {
			return token, err
		}
		passes := failure.class == ErrUnreachable || failure.Reason == reasonDraining
		left := time.Until(giveUpAt)
		if !passes || left <= 0 {
			return nil, err
		}
		pause := time.NewTimer(min(left, duration(backoffAfter(failures, failure.RetryAfter.Seconds(), rand.Float64()))))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil, ctx.Err()
			}
			return nil, failure.again(ctx.Err())
		}
	}
}

// await is Token when there is no live token in sight.
func (s *Source) await(ctx context.Context) (*Token, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, closedError("source")
	}
	if token := s.follower.live(now()); token != nil {
		s.mu.Unlock()
		return token, nil
	}
	if err := s.follower.hurry(now()); err != nil {
		s.mu.Unlock()
		return nil, err
	}
	seen := s.follower.setbacks
	s.wake()
	s.mu.Unlock()
	token, err := s.wait(ctx, func(f *follower) (*Token, bool) {
		token := f.live(now())
		return token, token != nil || f.setbacks != seen
	})
	if err == nil && token != nil {
		return token, nil
	}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	expired := s.follower.expired()
	expired.causes = append(expired.causes, own(ctx)...)
	return nil, expired
}

// wait waits until done reports true, and returns its token. The error is ErrClosed, or that of the context.
func (s *Source) wait(ctx context.Context, done func(*follower) (*Token, bool)) (*Token, error) {
	ctx, cancel := withDeadline(ctx, s.timeout)
	defer cancel()
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return nil, closedError("source")
		}
		token, isDone := done(s.follower)
		changed := s.changed
		s.mu.Unlock()
		if isDone {
			return token, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *Source) release() {
	if s.owned {
		_ = s.client.Close()
	}
}

// own returns the error of a context that the caller made, not of the deadline that we gave it.
func own(ctx context.Context) []error {
	if err := ctx.Err(); err != nil {
		return []error{err}
	}
	return nil
}
