//! The replies of an origin, with the faults that a test wants in them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::sync::watch;

/// A reply's content on the wire.
pub(super) type Content = UnsyncBoxBody<Bytes, anyhow::Error>;

/// A gate that is closed until a test opens it, and then stays open. An origin's reply can be made to wait for it, so
/// that the test decides what happens before and after.
#[derive(Clone, Debug)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    /// A closed gate.
    pub fn closed() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Opens it.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// How many replies wait for the gate, while it is closed.
    pub fn waiting(&self) -> usize {
        self.0.receiver_count()
    }

    /// Waits until it is open.
    pub async fn passed(&self) {
        // The sender lives as long as this gate: waiting can't fail.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

/// What an origin answers.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    fields: Vec<(String, String)>,
    body: Bytes,
    announced: bool,
    delay: Duration,
    gate: Option<Gate>,
    no_answer: bool,
    body_gate: Option<(usize, Gate)>,
    breaks_off_after: Option<usize>,
    slowly: Option<(usize, Duration)>,
}

impl Reply {
    /// A reply with this status code and no content.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            fields: Vec::new(),
            body: Bytes::new(),
            announced: true,
            delay: Duration::ZERO,
            gate: None,
            no_answer: false,
            body_gate: None,
            breaks_off_after: None,
            slowly: None,
        }
    }

    /// A 200 with this content.
    pub fn ok(body: impl Into<Bytes>) -> Self {
        Self::status(200).content(body)
    }

    /// With this content.
    #[must_use]
    pub fn content(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// No reply at all: the connection is closed.
    pub fn none() -> Self {
        Self { no_answer: true, ..Self::status(500) }
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    /// Sends the content without announcing its length.
    #[must_use]
    pub fn chunked(mut self) -> Self {
        self.announced = false;
        self
    }

    /// Waits before the first byte.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sends nothing until the gate is open.
    #[must_use]
    pub fn when(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// Sends the fields and so many bytes, and the rest when the gate is open.
    #[must_use]
    pub fn rest_when(mut self, bytes: usize, gate: &Gate) -> Self {
        self.body_gate = Some((bytes, gate.clone()));
        self
    }

    /// Breaks the connection off after so many bytes of the content.
    #[must_use]
    pub fn breaks_off_after(mut self, bytes: usize) -> Self {
        self.breaks_off_after = Some(bytes);
        self
    }

    /// Sends so many bytes at a time, and pauses after each.
    #[must_use]
    pub fn slowly(mut self, bytes: usize, pause: Duration) -> Self {
        self.slowly = Some((bytes.max(1), pause));
        self
    }

    /// Makes the response, after the delay and the gate. An error closes the connection.
    pub(super) async fn send(self) -> anyhow::Result<Response<Content>> {
        tokio::time::sleep(self.delay).await;
        if let Some(gate) = &self.gate {
            gate.passed().await;
        }
        if self.no_answer {
            bail!("told to give no answer");
        }
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(self.status)?;
        let fields = response.headers_mut();
        for (name, value) in &self.fields {
            fields.append(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?);
        }
        let has_content = self.status != 304 && self.status != 204;
        if self.announced && has_content && !fields.contains_key("content-length") {
            fields.insert("content-length", self.body.len().into());
        }
        Ok(response.map(|()| self.wire()))
    }

    fn wire(self) -> Content {
        if self.body_gate.is_none() && self.breaks_off_after.is_none() && self.slowly.is_none() && self.announced {
            return http_body_util::Full::new(self.body).map_err(|never: Infallible| match never {}).boxed_unsync();
        }
        let (sender, receiver) = tokio::sync::mpsc::channel::<anyhow::Result<Frame<Bytes>>>(1);
        tokio::spawn(self.feed(sender));
        let frames = futures_util::stream::unfold(receiver, |mut receiver| async move {
            let frame = receiver.recv().await?;
            if frame.is_err() {
                // Pending once makes hyper send what it has buffered, before the break.
                tokio::task::yield_now().await;
            }
            Some((frame, receiver))
        });
        BodyExt::boxed_unsync(StreamBody::new(frames))
    }

    /// Sends the content piece by piece; ends early when the connection is gone.
    async fn feed(self, sender: tokio::sync::mpsc::Sender<anyhow::Result<Frame<Bytes>>>) {
        let (mut rest, mut sent) = (self.body, 0);
        let mut stops: Vec<usize> =
            [self.body_gate.as_ref().map(|gate| gate.0), self.breaks_off_after].into_iter().flatten().collect();
        stops.sort_unstable();
        loop {
            if let Some((_, gate)) = self.body_gate.as_ref().filter(|(bytes, _)| *bytes == sent) {
                gate.passed().await;
            }
            if self.breaks_off_after == Some(sent) {
                let _ = sender.send(Err(anyhow::anyhow!("told to break off"))).await;
                return;
            }
            if rest.is_empty() {
                return;
            }
            let (piece_bytes, pause) = self.slowly.unwrap_or((64 * 1024, Duration::ZERO));
            let until_stop = stops.iter().find(|stop| **stop > sent).map_or(usize::MAX, |stop| stop - sent);
            let piece = rest.split_to(piece_bytes.min(until_stop).min(rest.len()));
            sent += piece.len();
            if sender.send(Ok(Frame::data(piece))).await.is_err() {
                return;
            }
            tokio::time::sleep(pause).await;
        }
    }
}
