//! A key's tokens as they come.

use std::time::Instant;

use tokio::{
    sync::watch,
    time::{self, sleep_until},
};
use tonic::Streaming;

use crate::{
    Error, Result, Token, pb,
    translate::{deadline_exceeded, translate},
    unreachable::Link,
    wire::Wire,
};

/// A key's tokens as they come, from [`Client::watch`](crate::Client::watch). Dropping it ends it at the server.
pub struct Watch {
    stream: Streaming<pb::WatchTokenResponse>,
    first: Option<Token>,
    deadline: Option<time::Instant>,
    closed: watch::Receiver<bool>,
    link: Link,
    _wire: Wire,
}

impl Watch {
    pub(crate) fn new(
        stream: Streaming<pb::WatchTokenResponse>,
        first: Option<Token>,
        deadline: Option<time::Instant>,
        closed: watch::Receiver<bool>,
        link: Link,
        wire: Wire,
    ) -> Self {
        Self {
            stream,
            first,
            deadline,
            closed,
            link,
            _wire: wire,
        }
    }

    /// The next token: the live one first. `None`: the server has ended the watch without an error.
    ///
    /// Cancel-safe: a dropped call loses no token.
    pub async fn message(&mut self) -> Result<Option<Token>> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let deadline = self.deadline;
        let limit = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = self.closed.wait_for(|closed| *closed) => Err(Error::closed("client")),
            message = self.stream.message() => match message {
                // It was on its way for a part of a round trip only.
                Ok(Some(message)) => Token::from_message(message.token, Instant::now()).map(Some),
                Ok(None) => Ok(None),
                Err(status) => Err(translate(&status, &self.link)),
            },
            () = limit => Err(deadline_exceeded(&self.link)),
        }
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("target", &self.link.target.text)
            .finish_non_exhaustive()
    }
}
