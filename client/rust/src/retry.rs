//! Automatic retries of a call, as gRFC A6 has them: tonic has none of its own.
//!
//! They cover a replica that goes away: a second is enough for another one to answer. Every error with a reason but
//! DRAINING comes with a pushback that stops them.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tonic::{Code, Status};

use crate::{jitter, translate, wire::Lost};

const ATTEMPTS: u32 = 4;
const FIRST: f64 = 0.1;
const FACTOR: f64 = 2.0;
const LONGEST: f64 = 1.0;
const PUSHBACK: &str = "grpc-retry-pushback-ms";
const MAX_TOKENS: f64 = 10.0;
const TOKEN_RATIO: f64 = 0.5;

/// Whether a call may be sent again. `RotateToken` may not: each one mints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Repeat,
    Once,
}

/// Stops the retries of a client all of whose calls fail.
#[derive(Debug)]
pub(crate) struct Throttle(Mutex<f64>);

impl Throttle {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(MAX_TOKENS))
    }

    pub(crate) fn succeeded(&self) {
        self.change(TOKEN_RATIO);
    }

    /// True: a retry is still allowed.
    fn failed(&self) -> bool {
        self.change(-1.0) > MAX_TOKENS / 2.0
    }

    fn change(&self, by: f64) -> f64 {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *tokens = (*tokens + by).clamp(0.0, MAX_TOKENS);
        *tokens
    }
}

/// The attempts of one call.
#[derive(Debug)]
pub(crate) struct Attempts {
    policy: Policy,
    made: u32,
    delay: f64,
}

impl Attempts {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            policy,
            made: 0,
            delay: FIRST,
        }
    }

    /// An attempt has failed. How long to wait before the next one; `None` when there is to be none.
    pub(crate) fn next_after(&mut self, status: &Status, throttle: &Throttle) -> Option<Duration> {
        self.made += 1;
        let pushback = pushback(status);
        // CANCELLED is what a server says that is flooded and drops calls before it has looked at them.
        let may_pass = match translate::lost(status) {
            Some(Lost::Deadline) => false,
            Some(_) => true,
            None => matches!(status.code(), Code::Unavailable | Code::Cancelled),
        };
        let allowed = if may_pass || pushback == Pushback::Stop {
            throttle.failed()
        } else {
            true
        };
        if self.policy == Policy::Once || !may_pass || !allowed || self.made >= ATTEMPTS {
            return None;
        }
        match pushback {
            Pushback::Stop => None,
            Pushback::Wait(delay) => {
                self.delay = FIRST;
                Some(delay)
            }
            Pushback::Unsaid => {
                let delay = self.delay * (0.8 + 0.4 * jitter::uniform());
                self.delay = (self.delay * FACTOR).min(LONGEST);
                Some(Duration::from_secs_f64(delay))
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Pushback {
    Unsaid,
    Wait(Duration),
    Stop,
}

fn pushback(status: &Status) -> Pushback {
    let Some(value) = status.metadata().get(PUSHBACK) else {
        return Pushback::Unsaid;
    };
    // What is no number stops retries, too.
    let milliseconds = value.to_str().ok().and_then(|text| text.parse::<u32>().ok());
    milliseconds.map_or(Pushback::Stop, |each| {
        Pushback::Wait(Duration::from_millis(each.into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unavailable(pushback: Option<&str>) -> Status {
        let mut status = Status::unavailable("away");
        if let Some(pushback) = pushback {
            status.metadata_mut().insert(PUSHBACK, pushback.parse().unwrap());
        }
        status
    }

    #[test]
    fn an_unavailable_server_is_tried_four_times_within_a_second() {
        let (throttle, mut attempts) = (Throttle::new(), Attempts::new(Policy::Repeat));
        for expected in [0.1, 0.2, 0.4] {
            let delay = attempts
                .next_after(&unavailable(None), &throttle)
                .unwrap()
                .as_secs_f64();
            assert!((expected * 0.8..expected * 1.2).contains(&delay), "{delay}");
        }
        assert_eq!(attempts.next_after(&unavailable(None), &throttle), None);
    }

    #[test]
    fn a_pushback_stops_or_delays() {
        let throttle = Throttle::new();
        for stop in ["-1", "never", ""] {
            assert_eq!(
                Attempts::new(Policy::Repeat).next_after(&unavailable(Some(stop)), &throttle),
                None,
                "{stop}"
            );
        }
        let throttle = Throttle::new();
        let delay = Attempts::new(Policy::Repeat).next_after(&unavailable(Some("750")), &throttle);
        assert_eq!(delay, Some(Duration::from_millis(750)));
    }

    #[test]
    fn other_errors_and_other_calls_are_not_repeated() {
        let throttle = Throttle::new();
        assert_eq!(
            Attempts::new(Policy::Repeat).next_after(&Status::internal("no"), &throttle),
            None
        );
        assert_eq!(
            Attempts::new(Policy::Once).next_after(&unavailable(None), &throttle),
            None
        );
    }

    #[test]
    fn a_client_all_of_whose_calls_fail_stops_repeating_them() {
        let throttle = Throttle::new();
        let retries = (0..20).filter(|_| {
            Attempts::new(Policy::Repeat)
                .next_after(&unavailable(None), &throttle)
                .is_some()
        });
        assert_eq!(retries.count(), 4);
        (0..20).for_each(|_| throttle.succeeded());
        assert!(
            Attempts::new(Policy::Repeat)
                .next_after(&unavailable(None), &throttle)
                .is_some()
        );
    }
}
