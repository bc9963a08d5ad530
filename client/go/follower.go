package mintonce

import (
	"math"

	"google.golang.org/grpc/codes"
)

// This file decides what a source does next, without I/O, goroutines or a clock. source.go does it.
//
// Times are float64 seconds, and instants are on the monotonic clock. Clients in all languages are held to the same
// recorded vectors (conformance/follower), which are numbers of this kind.

const (
	backoffBase = 0.5
	backoffMax  = 30.0
	// graceMax is how long a watch has after the refresh time to push the successor, before a fetch.
	graceMax = 10.0
	// watchMax is when a watch is replaced at the latest, so that dead connections and uneven load do not stay.
	watchMax = 1800.0
	// A watch that lasted watchProven was not a failure.
	watchProven = 30.0
	// watchUnimplemented is the time until the next try at a server without WatchToken: it may have been replaced.
	watchUnimplemented = 600.0
	// When a fetch brought nothing newer, the next one comes after pauseShare of the remaining life.
	pauseShare    = 0.1
	pauseMin      = 0.2
	pauseMax      = 60.0
	retryAfterMax = 300.0
)

type action int

const (
	doPause  action = iota // do nothing for `seconds`, unless woken
	doReport               // tell the server that `generation` was refused
	doFetch                // call GetToken
	doWatch                // call WatchToken, for `seconds` at most
)

// step is what to do next.
type step struct {
	do         action
	seconds    float64
	generation int64
}

// follower holds the newest token and knows what to do for its successor. It is not safe for concurrent use.
type follower struct {
	token *Token // the newest one; nil once it is known to be rejected
	// lastError is why the last call failed; nil since the last success.
	lastError *Error
	// setbacks counts failed fetches. A caller that waits for a token gives up when it rises.
	setbacks int
	// reportSetbacks and reportError are the same for reports, and for fetches after one.
	reportSetbacks int
	reportError    *Error

	jitter        func() float64 // in [0, 1)
	fetchAt       float64
	fetchFailures int
	watchAt       float64
	watchFailures int
	wantedReport  int64
	rejected      int64
	blockedUntil  float64
}

func newFollower(token *Token, now float64, jitter func() float64) *follower {
	f := &follower{token: token, watchAt: now, jitter: jitter}
	f.fetchAt = f.due(token, now)
	return f
}

func (f *follower) next(now float64) step {
	switch {
	case f.wantedReport > f.rejected:
		return step{do: doReport, generation: f.wantedReport}
	case now >= f.fetchAt:
		return step{do: doFetch}
	case now >= f.watchAt:
		return step{do: doWatch, seconds: min(f.fetchAt-now, watchMax*(0.5+f.jitter()/2))}
	}
	return step{do: doPause, seconds: min(f.fetchAt, f.watchAt) - now}
}

// live returns the token if it may be used, else nil.
func (f *follower) live(now float64) *Token {
	if f.token != nil && now < f.token.expiresAt {
		return f.token
	}
	return nil
}

// successor returns the token if it may be used and is newer than the generation, else nil.
func (f *follower) successor(generation int64, now float64) *Token {
	if token := f.live(now); token != nil && token.generation > generation {
		return token
	}
	return nil
}

// offer takes a token that came. It reports whether it is the newest now.
func (f *follower) offer(token *Token, now float64) bool {
	if !f.accepts(token, now) {
		return false
	}
	f.token = token
	f.lastError = nil
	f.blockedUntil = 0
	f.fetchAt = f.due(token, now)
	return true
}

// fetched is offer for the answer of GetToken. When it brought nothing newer, the next fetch waits.
func (f *follower) fetched(token *Token, now float64) bool {
	f.fetchFailures = 0
	f.lastError = nil
	accepted := f.offer(token, now)
	if !accepted {
		f.fetchAt = now + f.pause(now)
	}
	return accepted
}

func (f *follower) fetchFailed(err *Error, now float64) {
	f.lastError = err
	f.setbacks++
	if f.token == nil {
		f.reportSetbacks++
		f.reportError = err
	}
	f.fetchFailures++
	f.fetchAt = now + f.backoff(f.fetchFailures, err)
}

// watchEnded says that a watch is over: at its limit, by an error, or (nil) because it was cancelled or the server ended it.
func (f *follower) watchEnded(err *Error, startedAt, limit, now float64) {
	atLimit := now >= startedAt+limit-0.1
	switch {
	case err == nil:
		f.watchAt = now + f.backoff(1, nil)
	case atLimit && err.Code == codes.DeadlineExceeded:
		f.watchFailures = 0
		f.watchAt = now
	case err.Code == codes.Unimplemented:
		f.watchAt = now + watchUnimplemented
	default:
		f.lastError = err
		if now-startedAt >= watchProven {
			f.watchFailures = 0
		}
		f.watchFailures++
		f.watchAt = now + f.backoff(f.watchFailures, err)
	}
}

// wantReport says that an API refused the token of this generation. It returns the last error while the next report must
// wait.
func (f *follower) wantReport(generation int64, now float64) *Error {
	if f.reportError != nil && (now < f.blockedUntil || f.failing(now)) {
		return f.reportError.again()
	}
	if generation > f.rejected {
		f.wantedReport = max(f.wantedReport, generation)
	}
	return nil
}

// reported says that the server has accepted the report of this generation and serves it no more. It mints at the next
// fetch. A higher one that was refused meanwhile is reported next.
func (f *follower) reported(generation int64, now float64) {
	f.rejected = max(f.rejected, generation)
	if f.token != nil && f.token.generation <= f.rejected {
		f.token = nil
		f.fetchFailures = 0
		f.fetchAt = now
	}
}

// reportFailed keeps the token in use: the server may have good reason, such as too many rotations.
func (f *follower) reportFailed(err *Error, now float64) {
	f.lastError, f.reportError = err, err
	f.reportSetbacks++
	f.wantedReport = 0
	f.blockedUntil = now + f.backoff(1, err)
}

// hurry says that a caller waits for a live token. It returns the error of expired while the next fetch must wait.
func (f *follower) hurry(now float64) *Error {
	if f.failing(now) {
		return f.expired()
	}
	if f.fetchFailures == 0 && f.token != nil {
		f.fetchAt = min(f.fetchAt, now)
	}
	return nil
}

// expired is the error when no token is live. Its cause is the last error.
func (f *follower) expired() *Error {
	err := &Error{Reason: reasonExpired, Code: codes.Unavailable, class: ErrExpired}
	why := "it has not come yet"
	if last := f.lastError; last != nil {
		why = last.Message
		err.Remedy, err.RetryAfter, err.Code = last.Remedy, last.RetryAfter, last.Code
		err.IssuerError, err.RequestID = last.IssuerError, last.RequestID
		err.causes = []error{last.again()}
	}
	if err.Remedy == "" {
		err.Remedy = "Try again in a moment: a successor is being asked for."
	}
	err.Message = "the token is over and there is no successor: " + why
	return err
}

func (f *follower) accepts(token *Token, now float64) bool {
	if token.generation <= f.rejected || now >= token.expiresAt {
		return false
	}
	// A lower generation counts only when nothing else lives: the store has lost its history then.
	live := f.live(now)
	return live == nil || token.generation > live.generation
}

func (f *follower) failing(now float64) bool {
	return f.live(now) == nil && f.fetchFailures > 0 && now < f.fetchAt
}

// due is when to fetch if no watch has pushed the successor: a little after the refresh time, spread.
func (f *follower) due(token *Token, now float64) float64 {
	refreshAt := max(token.refreshAt, now)
	grace := min(graceMax, max(0, token.expiresAt-refreshAt)/2)
	return refreshAt + grace*(0.5+f.jitter()/2)
}

func (f *follower) pause(now float64) float64 {
	remaining := 0.0
	if token := f.live(now); token != nil {
		remaining = token.expiresAt - now
	}
	return min(pauseMax, max(pauseMin, pauseShare*remaining))
}

func (f *follower) backoff(failures int, err *Error) float64 {
	asked := 0.0
	if err != nil {
		asked = err.RetryAfter.Seconds()
	}
	return backoffAfter(failures, asked, f.jitter())
}

// backoffAfter is full jitter, on top of what the server asked for.
func backoffAfter(failures int, asked, jitter float64) float64 {
	return min(asked, retryAfterMax) + jitter*min(backoffMax, math.Ldexp(backoffBase, failures))
}
