//! gRPC's errors into ours: the one place that does it.

use std::error::Error as _;

use tonic::{Code, Status};

use crate::{Error, Kind, details::Details, text::visible, unreachable::Link, wire::Lost};

const LONGEST_TEXT: usize = 2000;
const LONGEST_NAME: usize = 64;
const OTHER_PEER: &str =
    "Is this target a mintonced, of a version that fits this client, and not a proxy in front of it?";

/// What a failed call means.
pub(crate) fn translate(status: &Status, link: &Link) -> Error {
    match lost(status) {
        Some(Lost::Connecting(failure)) => unreachable(link, link.explain_failure(failure)),
        Some(Lost::Broken(text)) => unreachable(link, link.explain_end(text)),
        Some(Lost::Deadline) => deadline_exceeded(link),
        None => {
            let details = Details::from_metadata(status.metadata());
            if details.reason.is_empty() {
                without_reason(status, link).with_retry_after(details.retry_after)
            } else {
                with_reason(status, &details)
            }
        }
    }
}

/// For a call that has run out of time.
pub(crate) fn deadline_exceeded(link: &Link) -> Error {
    let target = &link.target.text;
    Error::new(
        Kind::Unavailable,
        "DEADLINE_EXCEEDED",
        format!("no answer from {target} before the deadline"),
    )
    .with_remedy("Allow more time, or look into the server's log: a mint may take up to 10 seconds.")
    .with_code(Code::DeadlineExceeded)
}

/// Whether the connection failed, rather than the peer.
pub(crate) fn lost(status: &Status) -> Option<&Lost> {
    let mut next = status.source();
    while let Some(each) = next {
        if let Some(lost) = each.downcast_ref::<Lost>() {
            return Some(lost);
        }
        next = each.source();
    }
    None
}

/// The server gave a reason.
fn with_reason(status: &Status, details: &Details) -> Error {
    let said = |name| {
        details
            .metadata
            .get(name)
            .map_or_else(String::new, |text| visible(text, LONGEST_TEXT))
    };
    let kind = match details.reason.as_str() {
        "INVALID_REQUEST" | "UNKNOWN_CLIENT" | "UNAUTHENTICATED" | "PERMISSION_DENIED" | "ISSUER_REFUSED" => {
            Kind::Refused
        }
        "ISSUER_THROTTLED" | "ISSUER_UNAVAILABLE" | "ISSUER_MALFORMED" | "STORE_UNAVAILABLE"
        | "WAIT_TIMED_OUT" | "DRAINING" | "LIMIT_EXCEEDED" | "AUDIT_UNAVAILABLE" | "ROTATION_TOO_SOON"
        | "BUDGET_USED_UP" => Kind::Unavailable,
        "INTERNAL" => Kind::Other,
        // New reasons may come: the code says what they mean.
        _ => kind_of_code(status.code()),
    };
    let message = if status.message().is_empty() {
        &details.reason
    } else {
        status.message()
    };
    Error::new(
        kind,
        visible(&details.reason, LONGEST_NAME),
        visible(message, LONGEST_TEXT),
    )
    .with_remedy(said("remedy"))
    .with_retry_after(details.retry_after)
    .with_code(status.code())
    .with_issuer_error(said("issuer_error"))
    .with_request_id(said("request_id"))
}

fn kind_of_code(code: Code) -> Kind {
    match code {
        Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded | Code::Aborted => {
            Kind::Unavailable
        }
        Code::InvalidArgument
        | Code::NotFound
        | Code::Unauthenticated
        | Code::PermissionDenied
        | Code::FailedPrecondition => Kind::Refused,
        _ => Kind::Other,
    }
}

/// No reason came: something that is no mintonced answered, or gRPC itself at the peer.
fn without_reason(status: &Status, link: &Link) -> Error {
    let (code, target) = (status.code(), &link.target.text);
    match code {
        Code::Unavailable => unreachable(link, link.explain_end(status.message())),
        Code::DeadlineExceeded => deadline_exceeded(link),
        // gRPC's own limits at the peer: message sizes, metadata, concurrent streams.
        Code::ResourceExhausted => Error::new(
            Kind::Unavailable,
            name_of(code),
            format!("{target} has no room for this call"),
        )
        .with_remedy(
            "Ask again later, and for less at once. If it goes on, look into the server's log and limits.",
        )
        .with_code(code),
        // The text stays out: a server's unexpected failure may quote anything.
        _ => {
            let remedy = match code {
                Code::Unauthenticated => format!(
                    "Something on the way wants other credentials: see MINTONCE_CERTIFICATE_FILE, MINTONCE_BEARER_FILE \
                     and MINTONCE_API_KEY_FILE. {OTHER_PEER}"
                ),
                Code::PermissionDenied => format!("Something on the way refuses this caller. {OTHER_PEER}"),
                _ => OTHER_PEER.to_owned(),
            };
            let name = name_of(code);
            Error::new(
                kind_of_code(code),
                name,
                format!("{target} answered {name} without a reason"),
            )
            .with_remedy(remedy)
            .with_code(code)
        }
    }
}

fn unreachable(link: &Link, (why, remedy): (String, String)) -> Error {
    Error::new(
        Kind::Unreachable,
        "UNREACHABLE",
        format!("cannot reach mintonced at {}: {why}", link.target.text),
    )
    .with_remedy(remedy)
    .with_code(Code::Unavailable)
}

/// As gRPC's documents write it.
pub(crate) fn name_of(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
