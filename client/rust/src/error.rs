//! What a caller can get as an error. Two questions matter: may a retry help, and what can a person do?

use std::{fmt, time::Duration};

use tonic::Code;

/// The result of nearly everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no token. Neither the message nor the remedy ever holds the text of a token or a credential.
///
/// `{}` prints the message and the reason; `{:#}` the remedy, too.
#[derive(Clone, Debug)]
pub struct Error(Box<Details>);

#[derive(Clone, Debug)]
struct Details {
    kind: Kind,
    reason: String,
    message: String,
    remedy: String,
    retry_after: Option<Duration>,
    code: Code,
    issuer_error: String,
    request_id: String,
    cause: Option<Error>,
}

/// What an error means for the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A retry fails, too, until the request, the policy, the client's registration or the credentials are corrected.
    Refused,
    /// There is no token now; a later try may succeed.
    Unavailable,
    /// No server answered at the target; a later try may succeed.
    Unreachable,
    /// A source's token has expired or was rejected, and there is no successor; a later try may succeed. The error's
    /// `source()` says why.
    TokenExpired,
    /// The client or source was used after it was closed.
    Closed,
    /// The program contradicts itself, such as a key without a certificate. No call was made.
    Usage,
    /// Anything else, such as a fault of the server.
    Other,
}

impl Error {
    /// What the error means for the program.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Whether a later try may succeed without anything being corrected.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(
            self.0.kind,
            Kind::Unavailable | Kind::Unreachable | Kind::TokenExpired
        )
    }

    /// Why, as in `ErrorReason` of the API without its prefix (`UNKNOWN_CLIENT`), or one of the client's own:
    /// `UNREACHABLE`, `DEADLINE_EXCEEDED`, `TOKEN_EXPIRED`, `CLOSED`, `CREDENTIALS` (they cannot be used, or must not be
    /// sent to that target), `USAGE`, or the name of a gRPC status without a reason.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// What failed, for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What a person can do about it, in a sentence or two; empty if unknown.
    #[must_use]
    pub fn remedy(&self) -> &str {
        &self.0.remedy
    }

    /// The time after which a later try may succeed; `None` if unknown.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The gRPC status.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The issuer's own code (RFC 6749, section 5.2); empty if it gave none.
    #[must_use]
    pub fn issuer_error(&self) -> &str {
        &self.0.issuer_error
    }

    /// Finds the call in the server's log; empty if the server gave none.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.0.request_id
    }

    pub(crate) fn new(kind: Kind, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self(Box::new(Details {
            kind,
            reason: reason.into(),
            message: message.into(),
            remedy: String::new(),
            retry_after: None,
            code: Code::Unknown,
            issuer_error: String::new(),
            request_id: String::new(),
            cause: None,
        }))
    }

    pub(crate) fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.0.remedy = remedy.into();
        self
    }

    pub(crate) fn with_retry_after(mut self, retry_after: Option<Duration>) -> Self {
        self.0.retry_after = retry_after;
        self
    }

    pub(crate) fn with_code(mut self, code: Code) -> Self {
        self.0.code = code;
        self
    }

    pub(crate) fn with_issuer_error(mut self, issuer_error: String) -> Self {
        self.0.issuer_error = issuer_error;
        self
    }

    pub(crate) fn with_request_id(mut self, request_id: String) -> Self {
        self.0.request_id = request_id;
        self
    }

    /// For a use after closing.
    pub(crate) fn closed(what: &str) -> Self {
        Self::new(Kind::Closed, "CLOSED", format!("the {what} is closed"))
            .with_remedy(format!(
                "Keep the {what} open as long as it is used; close it last."
            ))
            .with_code(Code::Cancelled)
    }

    /// For a program that contradicts itself.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, "USAGE", message).with_code(Code::InvalidArgument)
    }

    /// For credentials that must not be used.
    pub(crate) fn unusable(message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, "CREDENTIALS", message)
    }

    /// For a value that the server would refuse, too.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, "INVALID_REQUEST", message).with_code(Code::InvalidArgument)
    }

    /// For a source without a live token.
    pub(crate) fn token_expired(last: Option<&Self>) -> Self {
        let why = last.map_or_else(
            || "it has not come yet".to_owned(),
            |last| last.message().to_owned(),
        );
        let mut error = Self::new(
            Kind::TokenExpired,
            "TOKEN_EXPIRED",
            format!("the token is over and there is no successor: {why}"),
        )
        .with_remedy("Try again in a moment: a successor is being asked for.")
        .with_code(Code::Unavailable);
        if let Some(last) = last {
            if !last.remedy().is_empty() {
                error.0.remedy.clone_from(&last.0.remedy);
            }
            error.0.retry_after = last.0.retry_after;
            error.0.code = last.0.code;
            error.0.issuer_error.clone_from(&last.0.issuer_error);
            error.0.request_id.clone_from(&last.0.request_id);
            error.0.cause = Some(last.clone());
        }
        error
    }

    /// For a wait that has run out.
    pub(crate) fn no_successor() -> Self {
        Self::new(
            Kind::Unavailable,
            "DEADLINE_EXCEEDED",
            "no successor of the token came in time",
        )
        .with_remedy("Allow more time, or look into the server's log.")
        .with_code(Code::DeadlineExceeded)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0.message, self.0.reason)?;
        if f.alternate() && !self.0.remedy.is_empty() {
            write!(f, ". {}", self.0.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.cause.as_ref().map(|cause| cause as _)
    }
}
