package mintonce

import (
	"context"
	"errors"
	"time"
)

// run does what the follower says, one call at a time.
func (s *Source) run(ctx context.Context) {
	defer close(s.stopped)
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return
		}
		select { // what woke us is in the follower
		case <-s.kick:
		default:
		}
		step := s.follower.next(now())
		s.mu.Unlock()
		switch step.do {
		case doReport:
			_, err := s.client.reject(ctx, s.key, rejectGeneration(step.generation), s.timeout)
			if err != nil {
				s.update(func(f *follower, now float64) { f.reportFailed(asError(err), now) })
			} else {
				s.update((*follower).reported)
			}
		case doFetch:
			token, err := s.client.get(ctx, s.key, s.timeout)
			if err != nil {
				s.update(func(f *follower, now float64) { f.fetchFailed(asError(err), now) })
			} else {
				s.update(func(f *follower, now float64) { f.fetched(token, now) })
			}
		case doWatch:
			s.watch(ctx, step.seconds)
		case doPause:
			pause := time.NewTimer(duration(step.seconds))
			select {
			case <-pause.C:
			case <-s.kick:
			case <-ctx.Done():
			}
			pause.Stop()
		}
	}
}

// watch follows the key until the limit, an error, or a kick.
func (s *Source) watch(ctx context.Context, limit float64) {
	startedAt := now()
	ctx, cancel := context.WithTimeout(ctx, duration(limit))
	defer cancel()
	waker := make(chan struct{})
	go func() { // only its context ends a stream from outside
		defer close(waker)
		select {
		case <-s.kick:
			cancel()
		case <-ctx.Done():
		}
	}()
	var failure *Error // nil: the server or we ended it
	for token, err := range s.client.Watch(ctx, s.key) {
		switch {
		case err == nil:
			s.update(func(f *follower, now float64) { f.offer(token, now) })
		case !errors.Is(err, context.Canceled):
			failure = asError(err)
		}
	}
	cancel()
	<-waker
	s.update(func(f *follower, now float64) { f.watchEnded(failure, startedAt, limit, now) })
}

// update changes the follower, and lets readers and waiters see it.
func (s *Source) update(change func(f *follower, now float64)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	change(s.follower, now())
	s.show()
	s.notify()
}

// show lets readers see the follower's token. With the lock held, or before the goroutine runs.
func (s *Source) show() {
	token := s.follower.token
	if token == nil {
		s.latest.Store(nil)
		return
	}
	if token == s.shown {
		return
	}
	s.latest.Store(&snapshot{token, duration(token.expiresAt)})
	if s.shown != nil {
		select {
		case s.updated <- struct{}{}:
		default: // the last one has not been received: it says the same
		}
	}
	s.shown = token
}

// notify wakes whoever waits for a change. With the lock held.
func (s *Source) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// wake makes the goroutine look again, whatever it waits for.
func (s *Source) wake() {
	select {
	case s.kick <- struct{}{}:
	default: // it has been woken and has not looked yet
	}
}
