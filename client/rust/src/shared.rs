//! What a source's handles and its task share.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio::{sync::watch, time::timeout};

use crate::{Error, Result, Token, clock, follower::Follower, token};

pub(crate) struct Shared {
    /// The follower's token, for readers: no lock. `None` when there is none, or the source is closed.
    snapshot: ArcSwapOption<token::Inner>,
    state: Mutex<State>,
    /// Rises when the state changes, for those who wait.
    changes: watch::Sender<u64>,
    /// Makes the task look again, whatever it waits for.
    kicks: watch::Sender<()>,
    closed: watch::Sender<bool>,
}

pub(crate) struct State {
    pub(crate) follower: Follower,
    is_closed: bool,
}

impl Shared {
    pub(crate) fn new(follower: Follower) -> Self {
        Self {
            snapshot: ArcSwapOption::new(follower.token().map(|token| token.0.clone())),
            state: Mutex::new(State {
                follower,
                is_closed: false,
            }),
            changes: watch::Sender::new(0),
            kicks: watch::Sender::new(()),
            closed: watch::Sender::new(false),
        }
    }

    /// The live token: a memory read.
    #[inline]
    pub(crate) fn live(&self) -> Option<Token> {
        let token = self.snapshot.load();
        let inner = token.as_ref().filter(|inner| inner.is_live())?;
        Some(Token(Arc::clone(inner)))
    }

    /// Why there is no live token.
    pub(crate) fn dead(&self) -> Error {
        let state = self.lock();
        if state.is_closed {
            Error::closed("source")
        } else {
            state.follower.expired()
        }
    }

    /// Change the state, and wake those who wait. It stays as it is once the source is closed.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut Follower, f64) -> T) -> Result<T> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(Error::closed("source"));
        }
        let result = change(&mut state.follower, clock::now());
        // With the lock held, so that an older token cannot overwrite a newer one.
        self.snapshot
            .store(state.follower.token().map(|token| token.0.clone()));
        drop(state);
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
        Ok(result)
    }

    /// Look at the state, or prepare a change that nobody waits for.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut Follower, f64) -> T) -> Result<T> {
        let mut state = self.lock();
        if state.is_closed {
            Err(Error::closed("source"))
        } else {
            Ok(look(&mut state.follower, clock::now()))
        }
    }

    /// Wait until a look at the state finds something. `None`: it did not within the time.
    pub(crate) async fn wait<T>(
        &self,
        within: Duration,
        mut look: impl FnMut(&mut Follower, f64) -> Option<T>,
    ) -> Result<Option<T>> {
        let mut changes = self.changes.subscribe();
        let waiting = async {
            loop {
                if let Some(found) = self.look(&mut look)? {
                    return Ok(Some(found));
                }
                // The sender is in `self`: it cannot be gone.
                let _ = changes.changed().await;
            }
        };
        timeout(within, waiting).await.unwrap_or(Ok(None))
    }

    pub(crate) fn kick(&self) {
        self.kicks.send_replace(());
    }

    pub(crate) fn kicks(&self) -> watch::Receiver<()> {
        self.kicks.subscribe()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// From now on every read fails, and everyone who waits is told.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        self.snapshot.store(None);
        drop(state);
        self.closed.send_replace(true);
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(crate) async fn until_closed(&self) {
        let mut closed = self.closed.subscribe();
        let _ = closed.wait_for(|closed| *closed).await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
