//! The task of a source: it does what the follower says.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};

use crate::{
    Client, Result, TokenKey, clock,
    follower::{Follower, Step},
    shared::Shared,
};

/// Runs until the source is closed.
pub(crate) async fn run(shared: Arc<Shared>, client: Client, key: TokenKey) {
    // However the task ends, such as by the end of its runtime: a token that nothing renews is not served.
    let _closing = CloseOnDrop(shared.clone());
    let work = Work {
        shared: &shared,
        client: &client,
        key: &key,
        kicks: shared.kicks(),
    };
    tokio::select! {
        () = shared.until_closed() => {}
        _ = work.follow() => {}
    }
}

struct CloseOnDrop(Arc<Shared>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

struct Work<'a> {
    shared: &'a Shared,
    client: &'a Client,
    key: &'a TokenKey,
    kicks: watch::Receiver<()>,
}

impl Work<'_> {
    /// One call at a time. Ends with an error when the source is closed.
    async fn follow(mut self) -> Result<()> {
        loop {
            self.kicks.mark_unchanged();
            match self.shared.look(Follower::next)? {
                Step::Report(generation) => self.report(generation).await?,
                Step::Fetch => self.fetch().await?,
                Step::Watch(limit) => self.watch(limit).await?,
                Step::Pause(seconds) => self.pause(Duration::from_secs_f64(seconds)).await,
            }
        }
    }

    async fn report(&self, generation: i64) -> Result<()> {
        let done = self
            .client
            .reject(self.key, crate::Rejected::Generation(generation))
            .await;
        self.shared.update(|follower, now| match done {
            Ok(_) => follower.reported(generation, now),
            Err(error) => follower.report_failed(error, now),
        })
    }

    async fn fetch(&self) -> Result<()> {
        let done = self.client.get(self.key).await;
        self.shared.update(|follower, now| match done {
            Ok(token) => {
                follower.fetched(token, now);
            }
            Err(error) => follower.fetch_failed(error, now),
        })
    }

    async fn watch(&mut self, limit: f64) -> Result<()> {
        let started_at = clock::now();
        let mut kicks = self.kicks.clone();
        // Dropped when a caller wants something else, the watch ends at the server.
        let ended = tokio::select! {
            ended = self.watch_to_the_end(Duration::from_secs_f64(limit)) => ended,
            _ = kicks.changed() => Ok(()),
        };
        self.shared
            .update(|follower, now| follower.watch_ended(ended.err(), started_at, limit, now))
    }

    async fn watch_to_the_end(&self, limit: Duration) -> Result<()> {
        let mut watch = self.client.watch_for(self.key, limit).await?;
        while let Some(token) = watch.message().await? {
            self.shared.update(|follower, now| follower.offer(token, now))?;
        }
        Ok(())
    }

    async fn pause(&mut self, duration: Duration) {
        tokio::select! {
            () = sleep(duration) => {}
            _ = self.kicks.changed() => {}
        }
    }
}
