//! The visitors' origin: it answers as a test has told it last, can be held back, and keeps a log of everything.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use sandbar::body::{self, Body, BoxError};

use super::says::{Audience, Heard, Says};
use crate::origin::Gate;

/// Chooses the answer to a request.
type Answers = Arc<dyn Fn(&Heard) -> Says + Send + Sync>;

/// The origin.
pub struct Script {
    answers: Mutex<Answers>,
    gate: Mutex<Option<Gate>>,
    log: Mutex<Vec<Exchange>>,
}

/// A request that reached the origin, and the answer to it; its place in the log is the answer's number.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The request.
    pub heard: Heard,
    /// The status of the answer.
    pub status: u16,
    /// Names of the fields that selected it, in lower case.
    pub selected_by: Vec<String>,
    /// For whom the answer is.
    pub audience: Audience,
}

impl Default for Script {
    fn default() -> Self {
        let answers: Answers = Arc::new(|_| Says::status(404, "cache-control: no-store"));
        Self { answers: Mutex::new(answers), gate: Mutex::default(), log: Mutex::default() }
    }
}

impl Script {
    /// From now on `answers` chooses the answers.
    pub fn says(&self, answers: impl Fn(&Heard) -> Says + Send + Sync + 'static) {
        *self.answers.lock() = Arc::new(answers);
    }

    /// From now on requests are heard, but answered only when the returned gate is open.
    pub fn hold(&self) -> Gate {
        let gate = Gate::closed();
        *self.gate.lock() = Some(gate.clone());
        gate
    }

    /// How many requests the origin has heard.
    pub fn heard(&self) -> usize {
        self.log.lock().len()
    }

    /// All requests and answers so far.
    pub fn log(&self) -> Vec<Exchange> {
        self.log.lock().clone()
    }

    /// Notes a request and chooses its answer.
    pub fn settle(&self, method: Method, target: &str, fields: &http::HeaderMap) -> Response<Bytes> {
        let answers = Arc::clone(&self.answers.lock());
        let mut log = self.log.lock();
        let heard = Heard { number: log.len(), method, target: target.to_owned(), fields: fields.clone() };
        let says = answers(&heard);
        let response = says.response(&heard);
        let (status, selected_by, audience) = (says.status, says.selected_by(), says.audience);
        log.push(Exchange { heard, status, selected_by, audience });
        response
    }

    /// Waits while requests are held.
    pub async fn passed(&self) {
        let gate = self.gate.lock().clone();
        if let Some(gate) = gate {
            gate.passed().await;
        }
    }

    /// Answers a request of a cache in this process.
    pub(super) async fn answer(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let (head, content) = request.into_parts();
        content.collect().await?;
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let response = self.settle(head.method, target, &head.headers);
        self.passed().await;
        Ok(response.map(body::full))
    }
}
