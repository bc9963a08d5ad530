//! What a server has been told, and what calls it got.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use tokio::{sync::watch, time::sleep};
use tonic::{Status, metadata::MetadataMap};

use crate::{Refusal, Token, connections::Peer, pb};

/// What a call brought.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: &'static str,
    pub client: String,
    pub audience: String,
    pub scopes: Vec<String>,
    pub generation: Option<i64>,
    pub sha256: Option<Vec<u8>>,
    pub metadata: HashMap<String, String>,
    /// The number of the connection.
    pub connection: usize,
    pub showed_certificate: bool,
}

pub(crate) struct Script {
    pub(crate) current: Token,
    pub(crate) refusals: HashMap<&'static str, Vec<Refusal>>,
    pub(crate) always: HashMap<&'static str, Refusal>,
    pub(crate) delay: HashMap<&'static str, Duration>,
    pub(crate) requests: Vec<Request>,
    pub(crate) mints_after_reject: bool,
}

pub(crate) struct State {
    pub(crate) script: Mutex<Script>,
    pub(crate) pushed: watch::Sender<Option<Token>>,
    pub(crate) drains: watch::Sender<u64>,
    pub(crate) open_watches: watch::Sender<usize>,
    pub(crate) calls: watch::Sender<usize>,
    pub(crate) connections: Mutex<usize>,
}

impl State {
    /// A token of generation 1, and nothing told.
    pub(crate) fn new() -> Self {
        let script = Script {
            current: Token::new(1),
            refusals: HashMap::new(),
            always: HashMap::new(),
            delay: HashMap::new(),
            requests: Vec::new(),
            mints_after_reject: true,
        };
        Self {
            script: Mutex::new(script),
            pushed: watch::Sender::new(None),
            drains: watch::Sender::new(0),
            open_watches: watch::Sender::new(0),
            calls: watch::Sender::new(0),
            connections: Mutex::new(0),
        }
    }

    /// Write the call down, and answer it with an error if the script says so.
    pub(crate) async fn enter<T>(
        &self,
        method: &'static str,
        request: &tonic::Request<T>,
        key: Option<&pb::TokenKey>,
        rejected: Option<&pb::reject_token_request::Rejected>,
    ) -> Result<(), Status> {
        let peer = request.extensions().get::<Peer>().copied();
        let key = key.cloned().unwrap_or_default();
        let (mut generation, mut sha256) = (None, None);
        match rejected {
            Some(pb::reject_token_request::Rejected::Generation(each)) => generation = Some(*each),
            Some(pb::reject_token_request::Rejected::AccessTokenSha256(each)) => sha256 = Some(each.clone()),
            None => {}
        }
        let (delay, refusal) = {
            let mut script = self.script.lock().unwrap();
            script.requests.push(Request {
                method,
                client: key.client,
                audience: key.audience,
                scopes: key.scopes,
                generation,
                sha256,
                metadata: texts(request.metadata()),
                connection: peer.map_or(0, |peer| peer.connection),
                showed_certificate: peer.is_some_and(|peer| peer.showed_certificate),
            });
            let next = script.refusals.get_mut(method).and_then(Vec::pop);
            (
                script.delay.get(method).copied(),
                next.or_else(|| script.always.get(method).cloned()),
            )
        };
        self.calls.send_modify(|count| *count += 1);
        if let Some(delay) = delay {
            sleep(delay).await;
        }
        refusal.map_or(Ok(()), |refusal| Err(refusal.status()))
    }
}

fn texts(metadata: &MetadataMap) -> HashMap<String, String> {
    metadata
        .iter()
        .filter_map(|each| match each {
            tonic::metadata::KeyAndValueRef::Ascii(name, value) => {
                Some((name.to_string(), value.to_str().ok()?.to_owned()))
            }
            tonic::metadata::KeyAndValueRef::Binary(..) => None,
        })
        .collect()
}
