//! Delivering what is owed: one sender for each tenant that has held writes takes them from the journal, in the order of their
//! keys, and sends them to the origin until it has them.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use http::header::RETRY_AFTER;
use http::{HeaderMap, Method, StatusCode};
use parking_lot::Mutex;
use sandbar_base::clock::timeout;
use sandbar_http::purge::PurgeMode;
use sandbar_journal::{Batch, Handed};
use tokio::sync::{OwnedRwLockReadGuard, mpsc};
use tokio_util::sync::CancellationToken;

use super::Writer;
use crate::body;
use crate::origin::OriginError;
use crate::owed::request::OwedRequest;
use crate::owed::{Open, account, name_in};
use crate::request::CacheRequest;
use crate::tenant::Tenant;
use crate::tenant::counters::count;

/// How long a sender that has nothing to do waits before it looks again, whatever it is told.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// The longest pause that an origin can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// Finds a tenant by its name, as it is now.
pub(crate) type FindTenant = Arc<dyn Fn(&str) -> Option<Arc<Tenant>> + Send + Sync>;

/// What has become of a write that was sent.
enum Fate {
    /// The origin has it.
    Done,
    /// It may take it later: after so long, where it said so.
    Later(Option<Duration>, String),
    /// It never will.
    Dead(String),
}

/// Starts a sender for each account that is named, once, until `stopping` says that the cache ends.
pub(crate) async fn deliver_all(
    writer: Weak<Writer>,
    tenants: FindTenant,
    mut wanted: mpsc::UnboundedReceiver<String>,
    stopping: CancellationToken,
) {
    let sending = Sending::default();
    loop {
        let account = tokio::select! {
            () = stopping.cancelled() => return,
            account = wanted.recv() => account,
        };
        let Some(account) = account else { return };
        let account: Arc<str> = account.into();
        if !sending.lock().insert(Arc::clone(&account)) {
            continue;
        }
        let Some(alive) = writer.upgrade() else { return };
        let (writer, tenants) = (Weak::clone(&writer), Arc::clone(&tenants));
        let sender = Sender { writer, tenants, account, sending: Arc::clone(&sending) };
        let until = stopping.clone();
        alive.tasks.spawn(async move {
            tokio::select! {
                () = until.cancelled() => {}
                () = sender.run() => {}
            }
        });
    }
}

/// Delivers what is owed for one account.
struct Sender {
    writer: Weak<Writer>,
    tenants: FindTenant,
    account: Arc<str>,
    sending: Sending,
}

/// The accounts that have a sender.
type Sending = Arc<Mutex<HashSet<Arc<str>>>>;

/// Deliveries that are under way.
type UnderWay = FuturesUnordered<Pin<Box<dyn Future<Output = ()> + Send>>>;

impl Sender {
    /// Keeps as many deliveries under way as a batch has writes: one target that is slow holds no other up.
    async fn run(self) {
        // One that was removed goes on being sent what it is owed: its origin is known here.
        let mut last_known: Option<Arc<Tenant>> = None;
        let (mut under_way, mut is_told) = (UnderWay::new(), false);
        while let Some(writer) = self.writer.upgrade() {
            let present = (self.tenants)(name_in(&self.account)).filter(|tenant| *account(tenant) == *self.account);
            let is_gone = present.is_none();
            last_known = present.or(last_known);
            match (writer.owed.ours(), &last_known) {
                (Some(open), Some(tenant)) => {
                    let batch = open.settings.batch;
                    let room = Batch { len: batch.len.max(1).saturating_sub(under_way.len()), ..batch };
                    let taken = writer.take(&open, &self.account, &room, under_way.is_empty()).await;
                    let may_take = taken.is_some() && room.len > 0;
                    for (handed, turn) in taken.into_iter().flatten() {
                        let sender = (Arc::clone(&writer), Arc::clone(&open), Arc::clone(tenant));
                        under_way.push(Box::pin(deliver(sender, Arc::clone(&self.account), handed, turn)));
                    }
                    if is_gone && under_way.is_empty() && self.ends(&open) {
                        return;
                    }
                    let more = writer.wait_for_more(&open, &self.account, &room);
                    tokio::select! {
                        Some(()) = under_way.next() => {}
                        () = more, if may_take => {}
                    }
                }
                // Another process may have the journal.
                (None, _) => rest(writer, &mut under_way).await,
                (Some(open), None) => {
                    drop(open);
                    if !std::mem::replace(&mut is_told, true) {
                        let account = &*self.account;
                        tracing::warn!(account, "the tenant of these held writes is gone: they stay in the journal");
                    }
                    rest(writer, &mut under_way).await;
                }
            }
        }
    }

    /// Whether a sender whose tenant is gone ends: where nothing is owed. What is held from now on finds that there is no sender.
    fn ends(&self, open: &Open) -> bool {
        if open.journal.pending(&self.account) > 0 {
            return false;
        }
        self.sending.lock().remove(&self.account);
        // What came in just before that found one.
        open.journal.pending(&self.account) == 0 || !self.sending.lock().insert(Arc::clone(&self.account))
    }
}

/// Waits for a while, or for a delivery that ends; holds nothing else meanwhile.
async fn rest(writer: Arc<Writer>, under_way: &mut UnderWay) {
    let clock = Arc::clone(&writer.clock);
    drop(writer);
    tokio::select! {
        Some(()) = under_way.next() => {}
        () = clock.sleep(LOOK_AGAIN) => {}
    }
}

async fn deliver(
    (writer, open, tenant): (Arc<Writer>, Arc<Open>, Arc<Tenant>),
    account: Arc<str>,
    handed: Handed,
    _turn: Arc<Turn>,
) {
    writer.deliver(&open, &account, &tenant, handed).await;
}

/// Held while writes are under way, so that the journal is not given away meanwhile.
type Turn = OwnedRwLockReadGuard<()>;

impl Writer {
    /// Waits until there may be more to send than what is under way.
    async fn wait_for_more(&self, open: &Open, account: &str, batch: &Batch) {
        let due = open.journal.due(account, batch);
        let pause = due.map_or(LOOK_AGAIN, |due| due.saturating_since(self.clock.now()).min(LOOK_AGAIN));
        let _ = timeout(&*self.clock, pause, open.journal.changed(account)).await;
    }

    /// Takes what is due; `None` where somebody waits for the journal to be theirs. Only who has nothing under way waits for that
    /// to end, as it is what that one waits for.
    async fn take(
        &self,
        open: &Open,
        account: &str,
        batch: &Batch,
        may_wait: bool,
    ) -> Option<Vec<(Handed, Arc<Turn>)>> {
        let turn = match Arc::clone(&self.owed.delivering).try_read_owned() {
            Ok(turn) => turn,
            Err(_) if may_wait => Arc::clone(&self.owed.delivering).read_owned().await,
            Err(_) => return None,
        };
        if batch.len == 0 {
            return Some(Vec::new());
        }
        let (handed, turn) = (open.journal.take(account, batch, self.clock.now()).await, Arc::new(turn));
        Some(handed.into_iter().map(|handed| (handed, Arc::clone(&turn))).collect())
    }

    /// Sends one write, and tells the journal what has become of it. What is stored of its target goes before that, so that no
    /// reader finds an older response in between.
    async fn deliver(&self, open: &Open, account: &str, tenant: &Arc<Tenant>, handed: Handed) {
        let now = self.clock.now();
        let Some(owed) = OwedRequest::decode(handed.write().content.clone()) else {
            return handed.dead("its bytes are no request", now);
        };
        let request = written(tenant, &owed);
        let fate = self.send(tenant, request.as_deref(), &owed).await;
        let now = self.clock.now();
        match fate {
            Fate::Done => {
                count(&tenant.counters.writes_delivered);
                handed.done();
            }
            Fate::Later(pause, _) if now.saturating_since(handed.write().at) < open.settings.retry_for => {
                count(&tenant.counters.writes_retried);
                let backoff = open.settings.backoff.pause(handed.attempt(), fastrand::u64(..));
                let pause = pause.map_or(backoff, |asked| asked.clamp(backoff, RETRY_AFTER_MAX));
                handed.failed(now.saturating_add(pause));
            }
            // An origin that is away is no client's fault.
            Fate::Later(_, reason) => self.bury((tenant, request.as_deref()), handed, &reason).await,
            Fate::Dead(reason) => {
                self.owed.refused(account, owed.client);
                self.bury((tenant, request.as_deref()), handed, &reason).await;
            }
        }
        self.owed.settled();
    }

    /// Makes a dead letter of a write. Readers were shown it, and it never comes to be: what is stored of its target goes.
    async fn bury(&self, (tenant, request): (&Arc<Tenant>, Option<&CacheRequest>), handed: Handed, reason: &str) {
        count(&tenant.counters.writes_dead);
        tracing::warn!(tenant = &*tenant.name, seq = %handed.seq(), reason, "a held write is a dead letter");
        if let Some(request) = request {
            self.purges.purge_whole(tenant, &[request.purge(PurgeMode::Hard)]).await;
        }
        handed.dead(reason, self.clock.now());
    }

    async fn send(&self, tenant: &Arc<Tenant>, request: Option<&CacheRequest>, owed: &OwedRequest) -> Fate {
        match self.exchanges.deliver(tenant, owed.to_request(body::full(owed.content.clone()))).await {
            Ok(response) => {
                let (status, fields) = (response.status(), response.headers());
                let fate = fate_of(&owed.method, status, fields);
                if let (Fate::Done, Some(request)) = (&fate, request) {
                    // What is not there to be deleted is deleted: a purge is due all the same.
                    let as_taken = if status.is_client_error() { StatusCode::NO_CONTENT } else { status };
                    self.purge_written(request, as_taken, fields).await;
                }
                fate
            }
            Err(error) => {
                let pause = error.retry_after();
                let is_lost = !matches!(error, OriginError::Refused { .. });
                if let (true, Some(request)) = (is_lost, request) {
                    // The origin may have it.
                    self.doubt_target(request).await;
                }
                Fate::Later(pause, error.to_string())
            }
        }
    }

    /// Goes on delivering until nothing is owed that could be delivered, for as long as a stop may take.
    pub(crate) async fn deliver_before_stop(&self) {
        let Some(open) = self.owed.ours() else { return };
        let nothing_is_owed = async {
            loop {
                let settled = self.owed.next_settled();
                if open.journal.stats(self.clock.now()).tenants.values().all(|of| of.pending == 0) {
                    return;
                }
                settled.await;
            }
        };
        let _ = timeout(&*self.clock, open.settings.drain, nothing_is_owed).await;
    }
}

/// The request as the cache would see it today; none where it has no key any more.
fn written(tenant: &Arc<Tenant>, owed: &OwedRequest) -> Option<Arc<CacheRequest>> {
    CacheRequest::new(tenant, owed.to_request(()).into_parts().0, owed.content.is_empty()).ok()
}

/// What an origin's answer means for a write.
fn fate_of(method: &Method, status: StatusCode, fields: &HeaderMap) -> Fate {
    let is_gone = *method == Method::DELETE && matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE);
    // 303: what was asked for is done, and told of elsewhere (RFC 9110 section 15.4.4).
    if status.is_success() || status == StatusCode::SEE_OTHER || is_gone {
        return Fate::Done;
    }
    // Any other redirect says that it is to be sent elsewhere, or that its sender has to sign in first.
    if status.is_redirection() {
        return Fate::Dead(format!("the origin answered {status}, and redirects are not followed"));
    }
    let reason = format!("the origin answered {status}");
    // 409: a first attempt with this idempotency key may be under way there.
    let may_take_it_later = status.is_server_error() || matches!(status.as_u16(), 408 | 409 | 423 | 425 | 429);
    if !may_take_it_later {
        return Fate::Dead(reason);
    }
    let seconds =
        fields.get(RETRY_AFTER).and_then(|after| after.to_str().ok()).and_then(|after| after.trim().parse().ok());
    Fate::Later(seconds.map(Duration::from_secs), reason)
}
