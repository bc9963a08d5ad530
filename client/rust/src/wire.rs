//! A tonic channel, with its failures told apart from what the peer answers.
//!
//! Two things are settled here, below the generated stubs. First, a connection that fails becomes [`Lost`]: tonic's own
//! codes for it depend on features that another crate may turn on. Second, the details of an error are moved to a name
//! that tonic does not know: it panics when they are not base64.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderName, Request, Response, header::HeaderValue};
use http_body::{Body, Frame, SizeHint};
use tonic::{Status, TimeoutExpired, transport::Channel};
use tower_service::Service;

use crate::connect::{BoxError, Failure};

const DETAILS: &str = "grpc-status-details-bin";
/// Where the details of an error are.
pub(crate) const MOVED_DETAILS: &str = "mintonce-status-details-bin";

/// The connection failed, before or during a call.
#[derive(Debug)]
pub(crate) enum Lost {
    /// It could not be made.
    Connecting(Failure),
    /// It ended, or was none of HTTP/2. The text is from h2 or hyper.
    Broken(String),
    /// The call's deadline came first.
    Deadline,
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection failed")
    }
}

impl std::error::Error for Lost {}

impl Lost {
    fn from_error(error: &BoxError) -> Self {
        let mut texts = Vec::new();
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(&**error);
        while let Some(each) = next {
            if let Some(failure) = each.downcast_ref::<Failure>() {
                return Self::Connecting(failure.clone());
            }
            if each.is::<TimeoutExpired>() {
                return Self::Deadline;
            }
            // The text of a status holds its metadata, too.
            texts.push(
                each.downcast_ref::<Status>()
                    .map_or_else(|| each.to_string(), |status| status.message().into()),
            );
            next = each.source();
        }
        texts.dedup();
        Self::Broken(texts.join(": "))
    }
}

/// What the stubs call.
#[derive(Clone)]
pub(crate) struct Wire(pub(crate) Channel);

type Answer = Pin<Box<dyn Future<Output = Result<Response<AnswerBody>, Lost>> + Send>>;

impl Service<Request<tonic::body::Body>> for Wire {
    type Response = Response<AnswerBody>;
    type Error = Lost;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        Service::poll_ready(&mut self.0, cx).map_err(|error| Lost::from_error(&error.into()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Answer {
        let answering = self.0.call(request);
        Box::pin(async move {
            let mut response = answering.await.map_err(|error| Lost::from_error(&error.into()))?;
            move_details(response.headers_mut());
            Ok(response.map(AnswerBody))
        })
    }
}

/// A body whose errors are ours, and whose trailers are safe.
pub(crate) struct AnswerBody(tonic::body::Body);

impl Body for AnswerBody {
    type Data = <tonic::body::Body as Body>::Data;
    type Error = Lost;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Lost>>> {
        let frame = Pin::new(&mut self.get_mut().0).poll_frame(cx);
        frame.map(|frame| {
            frame.map(|frame| {
                let mut frame = frame.map_err(|error| Lost::from_error(&error.into()))?;
                if let Some(trailers) = frame.trailers_mut() {
                    move_details(trailers);
                }
                Ok(frame)
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

fn move_details(headers: &mut HeaderMap) {
    const MOVED: HeaderName = HeaderName::from_static(MOVED_DETAILS);
    let details: Option<HeaderValue> = headers.remove(DETAILS);
    headers.remove(MOVED);
    if let Some(details) = details {
        headers.insert(MOVED, details);
    }
}
