//! The program that the conformance suite drives: requests on stdin, answers on stdout, one JSON object a line.
//! `conformance/README.md` has the protocol.

mod answers;
mod fields;
mod grpc;
mod http;
mod logs;
mod operations;
mod options;

use std::{
    collections::HashMap,
    io::{self, BufRead, Write},
    sync::{Arc, Mutex},
    thread,
};

use answers::Failure;
use operations::Testee;
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};

/// One thread: tasks start in the order in which they are spawned, as the protocol wants it.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    logs::install();
    let (lines, mut requests) = mpsc::unbounded_channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    let testee = Arc::new(Testee::default());
    let running: Arc<Mutex<HashMap<i64, AbortHandle>>> = Arc::default();
    let mut tasks = JoinSet::new();
    while let Some(line) = requests.recv().await {
        let Ok(request) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        let id = request["id"].clone();
        if request["op"] == "cancel" {
            let of = request["of"].as_i64().unwrap_or_default();
            if let Some(handle) = operations::lock(&running).get(&of) {
                handle.abort();
            }
            answer(&id, json!({ "ok": {} }));
            continue;
        }
        let testee = testee.clone();
        let work = tokio::spawn(async move { testee.perform(&request).await });
        if let Some(number) = id.as_i64() {
            operations::lock(&running).insert(number, work.abort_handle());
        }
        let running = running.clone();
        tasks.spawn(async move {
            let outcome = match work.await {
                Ok(Ok(ok)) => json!({ "ok": ok }),
                Ok(Err(failure)) => failure.to_answer(),
                Err(error) if error.is_cancelled() => Failure::class("Cancelled", "dropped").to_answer(),
                Err(error) => Failure::class("Testee", &error.to_string()).to_answer(),
            };
            answer(&id, outcome);
            if let Some(number) = id.as_i64() {
                operations::lock(&running).remove(&number);
            }
        });
        while tasks.try_join_next().is_some() {}
    }
    testee.close_all().await;
}

fn answer(id: &Value, mut outcome: Value) {
    outcome["id"] = id.clone();
    let mut stdout = io::stdout().lock();
    // The suite has gone when this fails; stdin ends then, too.
    let _ = writeln!(stdout, "{outcome}").and_then(|()| stdout.flush());
}
