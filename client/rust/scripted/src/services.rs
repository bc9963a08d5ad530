//! The services: what a call gets when the script has no refusal for it.

use std::pin::Pin;

use tokio::sync::{mpsc, watch};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Response, Status};

use crate::{
    Refusal, pb,
    script::State,
    stubs::{admin_service_server::AdminService, token_service_server::TokenService},
};

#[tonic::async_trait]
impl TokenService for State {
    type WatchTokenStream = Pin<Box<dyn Stream<Item = Result<pb::WatchTokenResponse, Status>> + Send>>;

    async fn get_token(
        &self,
        request: tonic::Request<pb::GetTokenRequest>,
    ) -> Result<Response<pb::GetTokenResponse>, Status> {
        self.enter("GetToken", &request, request.get_ref().key.as_ref(), None)
            .await?;
        let token = self.script.lock().unwrap().current.message();
        Ok(Response::new(pb::GetTokenResponse { token: Some(token) }))
    }

    async fn watch_token(
        &self,
        request: tonic::Request<pb::WatchTokenRequest>,
    ) -> Result<Response<Self::WatchTokenStream>, Status> {
        self.enter("WatchToken", &request, request.get_ref().key.as_ref(), None)
            .await?;
        let mut pushed = self.pushed.subscribe();
        let mut drains = self.drains.subscribe();
        let open = Open::new(self.open_watches.clone());
        let (sender, receiver) = mpsc::channel(4);
        let first = self.script.lock().unwrap().current.clone();
        tokio::spawn(async move {
            let _open = open;
            let mut next = Some(first);
            loop {
                if let Some(token) = next.take() {
                    let _ = sender
                        .send(Ok(pb::WatchTokenResponse {
                            token: Some(token.message()),
                        }))
                        .await;
                }
                tokio::select! {
                    _ = pushed.changed() => next.clone_from(&pushed.borrow_and_update()),
                    _ = drains.changed() => {
                        let _ = sender.send(Err(Refusal::of(tonic::Code::Unavailable, "DRAINING").status())).await;
                        return;
                    }
                    () = sender.closed() => return,
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn reject_token(
        &self,
        request: tonic::Request<pb::RejectTokenRequest>,
    ) -> Result<Response<pb::RejectTokenResponse>, Status> {
        let message = request.get_ref();
        self.enter(
            "RejectToken",
            &request,
            message.key.as_ref(),
            message.rejected.as_ref(),
        )
        .await?;
        let mut script = self.script.lock().unwrap();
        if script.mints_after_reject {
            script.current.generation += 1;
        }
        Ok(Response::new(pb::RejectTokenResponse { was_current: true }))
    }
}

#[tonic::async_trait]
impl AdminService for State {
    async fn list_tokens(
        &self,
        request: tonic::Request<pb::ListTokensRequest>,
    ) -> Result<Response<pb::ListTokensResponse>, Status> {
        self.enter("ListTokens", &request, None, None).await?;
        let tokens = vec![pb::TokenSummary {
            generation: 7,
            key_hash: "ab".into(),
            ..pb::TokenSummary::default()
        }];
        let next_page_token = if request.get_ref().page_token.is_empty() {
            "more".into()
        } else {
            String::new()
        };
        Ok(Response::new(pb::ListTokensResponse {
            tokens,
            next_page_token,
            incomplete: false,
        }))
    }

    async fn rotate_token(
        &self,
        request: tonic::Request<pb::RotateTokenRequest>,
    ) -> Result<Response<pb::RotateTokenResponse>, Status> {
        self.enter("RotateToken", &request, request.get_ref().key.as_ref(), None)
            .await?;
        Ok(Response::new(pb::RotateTokenResponse {
            previous_generation: 1,
            generation: 2,
        }))
    }

    async fn get_usage(
        &self,
        _: tonic::Request<pb::GetUsageRequest>,
    ) -> Result<Response<pb::GetUsageResponse>, Status> {
        Err(Status::unimplemented("no client asks for it"))
    }
}

/// Counts an open watch.
struct Open(watch::Sender<usize>);

impl Open {
    fn new(count: watch::Sender<usize>) -> Self {
        count.send_modify(|open| *open += 1);
        Self(count)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open = open.saturating_sub(1));
    }
}
