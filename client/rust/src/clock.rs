//! Time: as seconds for the follower, and a cheap answer to "is it surely not yet that time?".
//!
//! A token is read far more often than anything else here, and most of the cost of a read is the clock: 23 of 31 ns on
//! a virtual machine. Linux has a second monotonic clock which costs a fifth of that, and is a little late: it stands
//! still between two ticks. It answers all reads but those of a token's last second (9 ns).
//!
//! The kernel keeps both while a process is stopped, so the first read after that is right. Both stand still while the
//! machine is suspended, as do the timers of Tokio and the clocks of the clients in other languages: a token's life is
//! longer by that time here. Then an API refuses the token, and the adapters reject it.

use std::{sync::LazyLock, time::Instant};

static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Seconds on a clock of this process.
pub(crate) fn now() -> f64 {
    seconds(Instant::now())
}

/// A point in time as seconds on that clock; negative before its start.
pub(crate) fn seconds(at: Instant) -> f64 {
    let epoch = *EPOCH;
    at.saturating_duration_since(epoch).as_secs_f64() - epoch.saturating_duration_since(at).as_secs_f64()
}

/// A point in time, and one a little before it on the cheap clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    at: Instant,
    #[cfg(target_os = "linux")]
    surely_before: i64,
}

impl Deadline {
    pub(crate) fn new(at: Instant) -> Self {
        Self {
            at,
            #[cfg(target_os = "linux")]
            surely_before: coarse::surely_before(at),
        }
    }

    pub(crate) fn at(self) -> Instant {
        self.at
    }

    /// Whether the time has not come yet.
    pub(crate) fn is_ahead(self) -> bool {
        #[cfg(target_os = "linux")]
        if coarse::now() < self.surely_before {
            return true;
        }
        Instant::now() < self.at
    }
}

/// The other point is measured, a little different each time.
impl PartialEq for Deadline {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Deadline {}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)] // the standard library does not offer this clock
mod coarse {
    use std::time::Instant;

    /// Nanoseconds. A tick takes 1 to 10 ms. But one processor alone sets this clock, and a hypervisor may hold it up
    /// for many ticks while another one reads.
    const MARGIN: i64 = 1_000_000_000;

    /// Nanoseconds; late, never early.
    #[inline]
    pub(super) fn now() -> i64 {
        read(libc::CLOCK_MONOTONIC_COARSE)
    }

    /// The point on the coarse clock until which `at` has surely not come.
    pub(super) fn surely_before(at: Instant) -> i64 {
        // `Instant` is the precise clock. It is read second: whatever passes between the two makes the result earlier.
        let precise = read(libc::CLOCK_MONOTONIC);
        let ahead = at.saturating_duration_since(Instant::now()).as_nanos();
        precise
            .saturating_add(i64::try_from(ahead).unwrap_or(i64::MAX))
            .saturating_sub(MARGIN)
    }

    #[inline]
    fn read(clock: libc::clockid_t) -> i64 {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: `time` is a valid timespec to write to. The call cannot fail for these two clocks; if it did, zero
        // would mean "long before", so a failure is turned into "long after": then only the precise clock counts.
        let failed = unsafe { libc::clock_gettime(clock, &raw mut time) } != 0;
        if failed {
            return i64::MAX;
        }
        #[allow(clippy::unnecessary_cast, clippy::cast_lossless)] // they are i32 on some 32-bit machines
        (time.tv_sec as i64)
            .saturating_mul(1_000_000_000)
            .saturating_add(time.tv_nsec as i64)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_deadline_is_ahead_until_the_precise_clock_says_otherwise() {
        let at = Instant::now() + Duration::from_millis(60);
        let deadline = Deadline::new(at);
        loop {
            let before = Instant::now();
            let ahead = deadline.is_ahead();
            let after = Instant::now();
            assert!(!(ahead && before >= at), "over, and called ahead");
            assert!(ahead || after >= at, "ahead, and called over");
            if !ahead {
                break;
            }
        }
    }

    #[test]
    fn deadlines_are_equal_by_their_time() {
        let at = Instant::now() + Duration::from_secs(60);
        assert_eq!(Deadline::new(at), Deadline::new(at));
        assert_ne!(Deadline::new(at), Deadline::new(at + Duration::from_nanos(1)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_cheap_clock_does_not_answer_in_the_last_second() {
        let deadline = Deadline::new(Instant::now() + Duration::from_secs(60));
        let precise = Deadline::new(Instant::now() + Duration::from_millis(500));
        assert!(coarse::now() < deadline.surely_before);
        assert!(coarse::now() >= precise.surely_before);
        assert!(precise.is_ahead());
    }

    #[test]
    fn what_has_passed_is_not_ahead() {
        assert!(!Deadline::new(Instant::now()).is_ahead());
        assert!(Deadline::new(Instant::now() + Duration::from_secs(3600)).is_ahead());
    }
}
