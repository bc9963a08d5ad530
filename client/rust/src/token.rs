//! Tokens as callers hold them.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use http::HeaderValue;
use sha2::{Digest, Sha256};

use crate::{Error, Kind, Result, clock::Deadline, pb};

/// The longest life that is told apart from forever: a hundred years.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A live access token. A clone costs no copy of the text.
///
/// Its `Debug` is masked, and it has no `Display`: only [`access_token`](Self::access_token) and
/// [`header_value`](Self::header_value) give the text. Its life is on this process's monotonic clock, counted from
/// before the call was sent: it never ends late, whatever this host's wall clock says. Two are equal by value.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub(crate) Arc<Inner>);

#[derive(PartialEq, Eq)]
pub(crate) struct Inner {
    access_token: String,
    token_type: String,
    scopes: Vec<String>,
    generation: i64,
    expires_at: Deadline,
    refresh_at: Instant,
    expire_time: Option<SystemTime>,
    origin: Origin,
    degraded: bool,
    header: HeaderValue,
}

/// Where the server had a token from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// The server did not say, or said what this version does not know.
    #[default]
    Unknown,
    /// The replica's memory.
    Memory,
    /// The shared store: another replica, or an earlier run, minted it.
    Store,
    /// The issuer: it was minted for this call.
    Mint,
}

impl Token {
    /// The secret text (RFC 6750).
    #[must_use]
    pub fn access_token(&self) -> &str {
        &self.0.access_token
    }

    /// As the issuer named it, normally `Bearer`.
    #[must_use]
    pub fn token_type(&self) -> &str {
        &self.0.token_type
    }

    /// What the issuer granted, sorted.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        &self.0.scopes
    }

    /// Rises with every new token of the key, across the fleet. Not consecutive.
    #[must_use]
    pub fn generation(&self) -> i64 {
        self.0.generation
    }

    /// The end of its life.
    #[must_use]
    pub fn expires_at(&self) -> Instant {
        self.0.expires_at.at()
    }

    /// The time at which the server mints a successor.
    #[must_use]
    pub fn refresh_at(&self) -> Instant {
        self.0.refresh_at
    }

    /// The remaining life; zero after its end.
    #[must_use]
    pub fn expires_in(&self) -> Duration {
        self.expires_at().saturating_duration_since(Instant::now())
    }

    /// The time until the server mints a successor; zero when one is due.
    #[must_use]
    pub fn refresh_in(&self) -> Duration {
        self.refresh_at().saturating_duration_since(Instant::now())
    }

    /// Whether its life has not ended.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.0.is_live()
    }

    /// The end of its life by the store's clock: for people, not for arithmetic. `None` if the server gave none that
    /// this host can hold.
    #[must_use]
    pub fn expire_time(&self) -> Option<SystemTime> {
        self.0.expire_time
    }

    /// Where the server had it from.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.0.origin
    }

    /// Whether less is left than is comfortable, because the issuer or the store is in trouble.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.0.degraded
    }

    /// The value of an `Authorization` header, marked as sensitive: its `Debug` does not show it, and HTTP/2 keeps it
    /// out of its compression tables.
    #[must_use]
    pub fn header_value(&self) -> &HeaderValue {
        &self.0.header
    }

    /// The SHA-256 of the text. Tells tokens apart without showing them.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(self.0.access_token.as_bytes()).into()
    }

    /// `anchor`: when the call was sent, or for a pushed successor when it came.
    pub(crate) fn from_message(message: Option<pb::Token>, anchor: Instant) -> Result<Self> {
        let message = message.unwrap_or_default();
        if !is_text(&message.access_token) || !message.token_type.bytes().all(is_token_char) {
            return Err(no_header());
        }
        // Resource servers compare the scheme without regard to case (RFC 9110, section 11.1), but not all know that.
        let scheme = match message.token_type.as_str() {
            "" => "Bearer",
            kind if kind.eq_ignore_ascii_case("bearer") => "Bearer",
            kind => kind,
        };
        let Ok(mut header) = HeaderValue::try_from(format!("{scheme} {}", message.access_token)) else {
            return Err(no_header());
        };
        header.set_sensitive(true);
        Ok(Self(Arc::new(Inner {
            access_token: message.access_token,
            token_type: message.token_type,
            scopes: message.scopes,
            generation: message.generation,
            expires_at: Deadline::new(anchor + life(message.expires_in)),
            refresh_at: anchor + life(message.refresh_in),
            expire_time: message
                .expire_time
                .and_then(|time| SystemTime::try_from(time).ok()),
            origin: Origin::from_number(message.origin),
            degraded: message.degraded,
            header,
        })))
    }
}

impl Inner {
    #[inline]
    pub(crate) fn is_live(&self) -> bool {
        self.expires_at.is_ahead()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("access_token", &format_args!("[redacted]"))
            .field("generation", &self.0.generation)
            .field("expires_in", &format_args!("{}s", self.expires_in().as_secs()))
            .field("scopes", &self.0.scopes)
            .field("origin", &self.0.origin)
            .field("degraded", &self.0.degraded)
            .finish()
    }
}

impl Origin {
    fn from_number(number: i32) -> Self {
        match pb::Origin::try_from(number) {
            Ok(pb::Origin::Memory) => Self::Memory,
            Ok(pb::Origin::Store) => Self::Store,
            Ok(pb::Origin::Mint) => Self::Mint,
            Ok(pb::Origin::Unspecified) | Err(_) => Self::Unknown,
        }
    }

    /// `memory`, `store`, `mint` or `unknown`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Memory => "memory",
            Self::Store => "store",
            Self::Mint => "mint",
        }
    }
}

/// Visible ASCII, of which the tokens of RFC 6750, section 2.1, are made.
fn is_text(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Of a token of RFC 9110, section 5.6.2.
fn is_token_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn no_header() -> Error {
    Error::new(
        Kind::Other,
        "INTERNAL",
        "the server sent a token that no header can hold",
    )
    .with_remedy("Is this target a mintonced, of a version that fits this client?")
}

/// A length of time from the server, made fit for arithmetic with `Instant`. A negative one counts as none.
pub(crate) fn life(duration: Option<prost_types::Duration>) -> Duration {
    duration
        .and_then(|each| Duration::try_from(each).ok())
        .unwrap_or_default()
        .min(LONGEST)
}
