//! Decides what a source does next, without I/O, tasks or timers. `worker.rs` does it.
//!
//! All times are seconds, on one clock: every function that depends on the time is given it. `conformance/follower` records
//! what each event must change; all clients replay it.

use tonic::Code;

use crate::{Error, Result, Token, clock};

const BACKOFF_BASE: f64 = 0.5;
const BACKOFF_MAX: f64 = 30.0;
/// Seconds that a watch has after the refresh time to push the successor, before a fetch.
const GRACE_MAX: f64 = 10.0;
/// Seconds after which a watch is replaced at the latest, so that dead connections and uneven load do not stay.
const WATCH_MAX: f64 = 1800.0;
/// Seconds: a watch that lasted this long was not a failure.
const WATCH_PROVEN: f64 = 30.0;
/// Seconds until the next try at a server without `WatchToken`: it may have been replaced.
const WATCH_UNIMPLEMENTED: f64 = 600.0;
/// When a fetch brought nothing newer: ask again after this share of the remaining life, within limits in seconds.
const PAUSE_SHARE: f64 = 0.1;
const PAUSE_MIN: f64 = 0.2;
const PAUSE_MAX: f64 = 60.0;
const RETRY_AFTER_MAX: f64 = 300.0;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Step {
    /// Tell the server that a generation was refused.
    Report(i64),
    /// Call `GetToken`.
    Fetch,
    /// Call `WatchToken`, for so long at most.
    Watch(f64),
    /// Do nothing for so long, unless woken.
    Pause(f64),
}

/// What the follower knows of a token.
pub(crate) trait Life: Clone {
    fn generation(&self) -> i64;
    fn expires_at(&self) -> f64;
    fn refresh_at(&self) -> f64;
}

impl Life for Token {
    fn generation(&self) -> i64 {
        self.generation()
    }

    fn expires_at(&self) -> f64 {
        clock::seconds(self.expires_at())
    }

    fn refresh_at(&self) -> f64 {
        clock::seconds(self.refresh_at())
    }
}

/// Uniform in [0, 1).
type Jitter = Box<dyn FnMut() -> f64 + Send>;

/// Holds the newest token and knows what to do for its successor.
pub(crate) struct Follower<T = Token> {
    /// The newest one; `None` once it is known to be rejected.
    token: Option<T>,
    /// Why the last call failed; `None` since the last success.
    last_error: Option<Error>,
    /// The number of failed fetches. A caller that waits for a token gives up when it rises.
    setbacks: u64,
    /// The same for reports, and for fetches after one.
    report_setbacks: u64,
    report_error: Option<Error>,
    jitter: Jitter,
    fetch_at: f64,
    fetch_failures: u32,
    watch_at: f64,
    watch_failures: u32,
    wanted_report: i64,
    rejected: i64,
    blocked_until: f64,
}

impl<T: Life> Follower<T> {
    pub(crate) fn new(token: T, now: f64, jitter: Jitter) -> Self {
        let mut follower = Self {
            token: None,
            last_error: None,
            setbacks: 0,
            report_setbacks: 0,
            report_error: None,
            jitter,
            fetch_at: now,
            fetch_failures: 0,
            watch_at: now,
            watch_failures: 0,
            wanted_report: 0,
            rejected: 0,
            blocked_until: 0.0,
        };
        follower.fetch_at = follower.due(&token, now);
        follower.token = Some(token);
        follower
    }

    pub(crate) fn next(&mut self, now: f64) -> Step {
        if self.wanted_report > self.rejected {
            return Step::Report(self.wanted_report);
        }
        if now >= self.fetch_at {
            return Step::Fetch;
        }
        if now >= self.watch_at {
            let longest = WATCH_MAX * (0.5 + (self.jitter)() / 2.0);
            return Step::Watch(longest.min(self.fetch_at - now));
        }
        Step::Pause(self.fetch_at.min(self.watch_at) - now)
    }

    /// The newest token, whether it may be used or not.
    pub(crate) fn token(&self) -> Option<&T> {
        self.token.as_ref()
    }

    /// The token, if it may be used.
    pub(crate) fn live(&self, now: f64) -> Option<&T> {
        self.token.as_ref().filter(|token| now < token.expires_at())
    }

    /// The token, if it may be used and is newer than the generation.
    pub(crate) fn successor(&self, generation: i64, now: f64) -> Option<&T> {
        self.live(now).filter(|token| token.generation() > generation)
    }

    pub(crate) fn setbacks(&self) -> u64 {
        self.setbacks
    }

    pub(crate) fn report_setbacks(&self) -> u64 {
        self.report_setbacks
    }

    pub(crate) fn report_error(&self) -> Option<&Error> {
        self.report_error.as_ref()
    }

    /// A token came. True: it is the newest now.
    pub(crate) fn offer(&mut self, token: T, now: f64) -> bool {
        if !self.accepts(&token, now) {
            return false;
        }
        self.last_error = None;
        self.blocked_until = 0.0;
        self.fetch_at = self.due(&token, now);
        self.token = Some(token);
        true
    }

    /// `GetToken` answered. As `offer`; when it brought nothing newer, the next one waits.
    pub(crate) fn fetched(&mut self, token: T, now: f64) -> bool {
        self.fetch_failures = 0;
        self.last_error = None;
        let accepted = self.offer(token, now);
        if !accepted {
            self.fetch_at = now + self.pause(now);
        }
        accepted
    }

    pub(crate) fn fetch_failed(&mut self, error: Error, now: f64) {
        self.setbacks += 1;
        if self.token.is_none() {
            self.report_setbacks += 1;
            self.report_error = Some(error.clone());
        }
        self.fetch_failures = self.fetch_failures.saturating_add(1);
        self.fetch_at = now + self.backoff(self.fetch_failures, Some(&error));
        self.last_error = Some(error);
    }

    /// A watch is over: at its limit, by an error, or (`None`) because it was cancelled or the server ended it.
    pub(crate) fn watch_ended(&mut self, error: Option<Error>, started_at: f64, limit: f64, now: f64) {
        let at_limit = now >= started_at + limit - 0.1;
        match error {
            None => self.watch_at = now + self.backoff(1, None),
            Some(error) if at_limit && error.code() == Code::DeadlineExceeded => {
                self.watch_failures = 0;
                self.watch_at = now;
            }
            Some(error) if error.code() == Code::Unimplemented => {
                self.watch_at = now + WATCH_UNIMPLEMENTED;
            }
            Some(error) => {
                self.watch_failures = if now - started_at >= WATCH_PROVEN {
                    1
                } else {
                    self.watch_failures.saturating_add(1)
                };
                self.watch_at = now + self.backoff(self.watch_failures, Some(&error));
                self.last_error = Some(error);
            }
        }
    }

    /// An API refused the token of this generation. Fails with the last error while the next report must wait.
    pub(crate) fn want_report(&mut self, generation: i64, now: f64) -> Result<()> {
        if let Some(error) = &self.report_error
            && (now < self.blocked_until || self.failing(now))
        {
            return Err(error.clone());
        }
        if generation > self.rejected {
            self.wanted_report = self.wanted_report.max(generation);
        }
        Ok(())
    }

    /// The server has accepted the report of this generation and serves it no more. It mints at the next fetch. A higher
    /// one that was refused meanwhile is reported next.
    pub(crate) fn reported(&mut self, generation: i64, now: f64) {
        self.rejected = self.rejected.max(generation);
        if self
            .token
            .as_ref()
            .is_some_and(|token| token.generation() <= self.rejected)
        {
            self.token = None;
            self.fetch_failures = 0;
            self.fetch_at = now;
        }
    }

    /// The token stays in use: the server may have good reason, such as too many rotations.
    pub(crate) fn report_failed(&mut self, error: Error, now: f64) {
        self.report_setbacks += 1;
        self.wanted_report = 0;
        self.blocked_until = now + self.backoff(1, Some(&error));
        self.report_error = Some(error.clone());
        self.last_error = Some(error);
    }

    /// A caller waits for a live token. Fails while the next fetch must wait.
    pub(crate) fn hurry(&mut self, now: f64) -> Result<()> {
        if self.failing(now) {
            return Err(self.expired());
        }
        if self.fetch_failures == 0 && self.token.is_some() {
            self.fetch_at = self.fetch_at.min(now);
        }
        Ok(())
    }

    /// The error when no token is live. Its cause is the last error.
    pub(crate) fn expired(&self) -> Error {
        Error::token_expired(self.last_error.as_ref())
    }

    fn accepts(&self, token: &T, now: f64) -> bool {
        if token.generation() <= self.rejected || now >= token.expires_at() {
            return false;
        }
        // A lower generation counts only when nothing else lives: the store has lost its history then.
        self.live(now)
            .is_none_or(|live| token.generation() > live.generation())
    }

    fn failing(&self, now: f64) -> bool {
        self.live(now).is_none() && self.fetch_failures > 0 && now < self.fetch_at
    }

    /// When to fetch if no watch has pushed the successor: a little after the refresh time, spread.
    fn due(&mut self, token: &T, now: f64) -> f64 {
        let refresh_at = token.refresh_at().max(now);
        let grace = GRACE_MAX.min((token.expires_at() - refresh_at).max(0.0) / 2.0);
        refresh_at + grace * (0.5 + (self.jitter)() / 2.0)
    }

    fn pause(&self, now: f64) -> f64 {
        let rest = self.live(now).map_or(0.0, |token| token.expires_at() - now);
        (PAUSE_SHARE * rest).clamp(PAUSE_MIN, PAUSE_MAX)
    }

    fn backoff(&mut self, failures: u32, error: Option<&Error>) -> f64 {
        backoff(failures, error, (self.jitter)())
    }
}

/// Seconds until the next try: full jitter, on top of what the server asked for.
pub(crate) fn backoff(failures: u32, error: Option<&Error>, jitter: f64) -> f64 {
    let asked = error
        .and_then(Error::retry_after)
        .map_or(0.0, |asked| asked.as_secs_f64().min(RETRY_AFTER_MAX));
    // Beyond 2^6 it is the maximum anyway.
    let grown = BACKOFF_BASE * f64::from(2_u32.pow(failures.min(16)));
    asked + jitter * BACKOFF_MAX.min(grown)
}

#[cfg(test)]
mod tests;
