//! Replays `conformance/follower`: what each event changes in Python's follower, it must change here.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;

use super::*;
use crate::Kind;

/// Seconds: the vectors' own precision.
const CLOSE: f64 = 1e-6;

struct Replay {
    follower: Follower<Held>,
    jitter: Arc<Mutex<f64>>,
}

impl Replay {
    fn start(case: &Value) -> Self {
        let jitter = Arc::new(Mutex::new(float(&case["jitter"])));
        let drawn = jitter.clone();
        let follower = Follower::new(
            token(&case["token"]),
            float(&case["now"]),
            Box::new(move || *drawn.lock().unwrap()),
        );
        Self { follower, jitter }
    }

    /// The result of an event, as the vectors write it.
    fn apply(&mut self, event: &Value) -> Value {
        *self.jitter.lock().unwrap() = float(&event["jitter"]);
        let now = float(&event["now"]);
        let follower = &mut self.follower;
        let raised = |result: Result<()>| match result {
            Ok(()) => Value::Null,
            Err(error) => serde_json::json!({ "error": error.reason() }),
        };
        match event["do"].as_str().unwrap() {
            "offer" => return follower.offer(token(&event["token"]), now).into(),
            "fetched" => return follower.fetched(token(&event["token"]), now).into(),
            "fetch_failed" => follower.fetch_failed(error(&event["error"]), now),
            "watch_ended" => {
                let failure = (!event["error"].is_null()).then(|| error(&event["error"]));
                let limit = float(&event["limit"]);
                follower.watch_ended(failure, float(&event["started_at"]), limit, now);
            }
            "want_report" => return raised(follower.want_report(event["generation"].as_i64().unwrap(), now)),
            "reported" => follower.reported(now),
            "report_failed" => follower.report_failed(error(&event["error"]), now),
            "hurry" => return raised(follower.hurry(now)),
            "successor" => {
                let found = follower.successor(event["generation"].as_i64().unwrap(), now);
                return found.map_or(Value::Null, |token| token.generation.into());
            }
            "look" => {}
            other => panic!("no such event: {other}"),
        }
        Value::Null
    }

    fn check(&mut self, event: &Value, whereabouts: &str) {
        let (result, expected) = (self.apply(event), &event["expect"]);
        assert_eq!(&result, &expected["result"], "result, {whereabouts}");
        let now = float(&event["now"]);
        self.check_step(now, &expected["step"], whereabouts);
        self.check_state(now, &expected["state"], whereabouts);
    }

    fn check_step(&mut self, now: f64, expected: &Value, whereabouts: &str) {
        let (name, number) = match self.follower.next(now) {
            #[allow(clippy::cast_precision_loss)] // generations of the vectors are small
            Step::Report(generation) => ("report", Some(("generation", generation as f64))),
            Step::Fetch => ("fetch", None),
            Step::Watch(limit) => ("watch", Some(("limit", limit))),
            Step::Pause(seconds) => ("pause", Some(("seconds", seconds))),
        };
        assert_eq!(name, expected["do"].as_str().unwrap(), "step, {whereabouts}");
        if let Some((field, found)) = number {
            is_close(
                found,
                &expected[field],
                &format!("{field} of the step, {whereabouts}"),
            );
        }
    }

    fn check_state(&self, now: f64, expected: &Value, whereabouts: &str) {
        let follower = &self.follower;
        let generation = |token: Option<&Held>| token.map_or(Value::Null, |token| token.generation.into());
        let reason = |error: Option<&Error>| error.map_or(Value::Null, |error| error.reason().into());
        for (name, found) in [
            ("token", generation(follower.token())),
            ("live", generation(follower.live(now))),
            ("last_error", reason(follower.last_error.as_ref())),
            ("report_error", reason(follower.report_error())),
            ("setbacks", follower.setbacks.into()),
            ("report_setbacks", follower.report_setbacks.into()),
            ("fetch_failures", follower.fetch_failures.into()),
            ("watch_failures", follower.watch_failures.into()),
            ("wanted_report", follower.wanted_report.into()),
            ("rejected", follower.rejected.into()),
        ] {
            assert_eq!(found, expected[name], "{name}, {whereabouts}");
        }
        is_close(
            follower.fetch_at,
            &expected["fetch_at"],
            &format!("fetch_at, {whereabouts}"),
        );
        is_close(
            follower.watch_at,
            &expected["watch_at"],
            &format!("watch_at, {whereabouts}"),
        );
        is_close(
            follower.blocked_until,
            &expected["blocked_until"],
            &format!("blocked_until, {whereabouts}"),
        );
    }
}

fn float(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn is_close(found: f64, expected: &Value, what: &str) {
    assert!(
        (found - float(expected)).abs() < CLOSE,
        "{what}: {found}, and not {expected}"
    );
}

#[derive(Clone)]
struct Held {
    generation: i64,
    expires_at: f64,
    refresh_at: f64,
}

impl Life for Held {
    fn generation(&self) -> i64 {
        self.generation
    }

    fn expires_at(&self) -> f64 {
        self.expires_at
    }

    fn refresh_at(&self) -> f64 {
        self.refresh_at
    }
}

fn token(value: &Value) -> Held {
    Held {
        generation: value["generation"].as_i64().unwrap(),
        expires_at: float(&value["expires_at"]),
        refresh_at: float(&value["refresh_at"]),
    }
}

fn error(value: &Value) -> Error {
    let code = (0..17)
        .map(Code::from_i32)
        .find(|code| crate::translate::name_of(*code) == value["code"]);
    Error::new(Kind::Other, value["reason"].as_str().unwrap(), "a failure")
        .with_code(code.unwrap())
        .with_retry_after(value["retry_after"].as_f64().map(Duration::from_secs_f64))
}

fn vectors() -> Vec<PathBuf> {
    let folder = std::env::var_os("MINTONCE_FOLLOWER_VECTORS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance/follower")),
        PathBuf::from,
    );
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|each| each == "jsonl"))
        .collect();
    assert!(!paths.is_empty(), "no vectors in {}", folder.display());
    paths
}

#[test]
fn every_recorded_event_has_the_recorded_effect() {
    for path in vectors() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let lines = fs::read_to_string(&path).unwrap();
        assert!(!lines.is_empty(), "{name} is empty");
        for (line, text) in lines.lines().enumerate() {
            let case: Value = serde_json::from_str(text).unwrap();
            let mut replay = Replay::start(&case);
            for (number, event) in case["events"].as_array().unwrap().iter().enumerate() {
                let whereabouts = format!("event {number} of {} ({name}, line {})", case["name"], line + 1);
                replay.check(event, &whereabouts);
            }
        }
    }
}

#[test]
fn the_error_of_an_expired_token_has_the_last_error_behind_it() {
    let now = 10.0;
    let token = Held {
        generation: 1,
        expires_at: now,
        refresh_at: now,
    };
    let mut follower = Follower::new(token, now, Box::new(|| 0.5));
    let last = Error::new(Kind::Unavailable, "ISSUER_THROTTLED", "the issuer is busy")
        .with_remedy("Wait.")
        .with_retry_after(Some(Duration::from_secs(7)))
        .with_code(Code::ResourceExhausted)
        .with_request_id("the-request".into());
    follower.fetch_failed(last, now);
    let error = follower.hurry(now).unwrap_err();
    assert_eq!(
        (error.kind(), error.reason()),
        (Kind::TokenExpired, "TOKEN_EXPIRED")
    );
    assert_eq!((error.remedy(), error.request_id()), ("Wait.", "the-request"));
    assert_eq!(
        (error.retry_after(), error.code()),
        (Some(Duration::from_secs(7)), Code::ResourceExhausted)
    );
    assert!(
        std::error::Error::source(&error)
            .unwrap()
            .to_string()
            .contains("ISSUER_THROTTLED")
    );
}
