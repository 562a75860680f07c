//! An origin whose pages have versions: a write makes the next version, every reply names its version, and fetches are
//! counted by page and by node. Pages may differ by visitor ([`Kind`]). A page's version is read when the request comes
//! in, before the reply is delayed: so a fetch that began before a write brings the version from before it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use parking_lot::Mutex;

use crate::origin::{Gate, Origin, Reply, Seen};

mod page;

pub use page::{Kind, MADE_FOR, Shown, VISITOR, Variant, shown, version_shown};

/// The field that names the version; a class may use it as its `version_field`.
pub const VERSION: &str = "x-version";

/// How pages are served.
#[derive(Clone, Copy, Debug)]
pub struct Serving {
    /// Time from a request to its reply.
    pub latency: Duration,
    /// `Cache-Control: max-age`, in seconds.
    pub max_age_s: u64,
    /// Length of a page, at least, in bytes.
    pub page_bytes: usize,
}

impl Default for Serving {
    fn default() -> Self {
        Self { latency: Duration::ZERO, max_age_s: 600, page_bytes: 200 }
    }
}

/// The origin. Each node asks it at a door (a URL) of its own.
pub struct Versions {
    state: Arc<Mutex<State>>,
    doors: Vec<Origin>,
}

#[derive(Default)]
struct State {
    usual: Serving,
    serving: HashMap<String, Serving>,
    versions: HashMap<String, u64>,
    /// By page, how often it was fetched at each door.
    fetches: HashMap<String, Vec<u64>>,
    /// The longest latency of fetches, and a counter by which they are spread below it; none where all are `usual`.
    spread: Option<(Duration, u64)>,
    /// By page, the gate that its replies wait for.
    gates: HashMap<String, Gate>,
    /// Whether pages that differ by visitor are sent without `Vary`.
    silent: bool,
}

impl Versions {
    /// Starts an origin with so many doors that serves all pages as `usual` says.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(doors: usize, usual: Serving) -> anyhow::Result<Self> {
        let state = Arc::new(Mutex::new(State { usual, ..State::default() }));
        let mut started = Vec::with_capacity(doors);
        for door in 0..doors {
            let state = Arc::clone(&state);
            started.push(Origin::start(move |seen| state.lock().answer(door, doors, seen)).await?);
        }
        Ok(Self { state, doors: started })
    }

    /// The URL of a door.
    pub fn url(&self, door: usize) -> String {
        self.doors[door].url()
    }

    /// From now on this page is served as `serving` says.
    pub fn serve(&self, page: &str, serving: Serving) {
        self.state.lock().serving.insert(page.to_owned(), serving);
    }

    /// Makes replies with this page wait for the gate that is returned, from now on.
    pub fn hold(&self, page: &str) -> Gate {
        let gate = Gate::closed();
        self.state.lock().gates.insert(page.to_owned(), gate.clone());
        gate
    }

    /// From now on replies with pages without a serving of their own take up to `most`, each another time.
    pub fn spread_latency(&self, most: Duration) {
        self.state.lock().spread = Some((most, 0));
    }

    /// From now on no page has `Vary`, though pages differ as before: no cache can handle that correctly.
    pub fn say_no_vary(&self) {
        self.state.lock().silent = true;
    }

    /// A page's version.
    pub fn version(&self, page: &str) -> u64 {
        self.state.lock().version(page)
    }

    /// Makes the next version of a page directly, unknown to any cache.
    pub fn change(&self, page: &str) -> u64 {
        self.state.lock().change(page)
    }

    /// How often a page was fetched.
    pub fn fetches(&self, page: &str) -> u64 {
        self.state.lock().fetches.get(page).map_or(0, |by_door| by_door.iter().sum())
    }

    /// How often a page was fetched, by door.
    pub fn fetches_by_door(&self, page: &str) -> Vec<u64> {
        self.state.lock().fetches.get(page).cloned().unwrap_or_else(|| vec![0; self.doors.len()])
    }

    /// How many fetches there were of all pages.
    pub fn fetches_of_all(&self) -> u64 {
        self.state.lock().fetches.values().flatten().sum()
    }
}

impl State {
    fn answer(&mut self, door: usize, doors: usize, seen: &Seen) -> Reply {
        let page = seen.path();
        let serving = self.serving.get(page).copied();
        let latency = serving.map_or_else(|| self.usual_latency(), |serving| serving.latency);
        let serving = serving.unwrap_or(self.usual);
        if matches!(seen.method, Method::GET | Method::HEAD) {
            self.fetches.entry(page.to_owned()).or_insert_with(|| vec![0; doors])[door] += 1;
            let reply = self.page(page, serving, seen).after(latency);
            return match self.gates.get(page) {
                Some(gate) => reply.when(gate),
                None => reply,
            };
        }
        let version = self.change(page);
        Reply::ok("written").field(VERSION, version.to_string())
    }

    /// The reply with a page as it is now: all of it, a range, or a 304.
    fn page(&self, page: &str, serving: Serving, seen: &Seen) -> Reply {
        let (kind, version, variant) = (Kind::of(page), self.version(page), page::selected(page, seen));
        let (tag, visitor) = (page::tag(version, &variant), seen.field(VISITOR).unwrap_or_default());
        let validated = seen.field("if-none-match") == Some(&tag);
        let whole = page::content(page, version, &variant, serving.page_bytes);
        let range = seen.field("range").filter(|_| seen.field("if-range").is_none_or(|held| held == tag));
        let reply = match range.and_then(|range| part(range, whole.len())) {
            _ if validated => Reply::status(304),
            Some((first, last)) => Reply::status(206)
                .content(whole[first..=last].to_owned())
                .field("content-range", format!("bytes {first}-{last}/{}", whole.len())),
            None => Reply::ok(whole),
        };
        let reply = reply
            .field("cache-control", format!("{}max-age={}", kind.cache_control(), serving.max_age_s))
            .field(VERSION, version.to_string())
            .field("etag", tag)
            .field("surrogate-key", surrogate_key(page));
        let reply = match kind.vary().filter(|_| !self.silent) {
            Some(vary) => reply.field("vary", vary),
            None => reply,
        };
        if visitor.is_empty() {
            return reply;
        }
        let reply = reply.field(MADE_FOR, visitor);
        if validated && kind == Kind::Welcome { reply.field("set-cookie", visitor) } else { reply }
    }

    fn usual_latency(&mut self) -> Duration {
        let Some((most, count)) = &mut self.spread else { return self.usual.latency };
        *count += 1;
        // Mostly short, at times the longest, so that fetches of one page overtake each other.
        let share = [0, 1, 2, 0, 10, 1, 0, 4][usize::try_from(*count % 8).expect("less than eight")];
        *most * share / 10
    }

    fn version(&self, page: &str) -> u64 {
        self.versions.get(page).copied().unwrap_or(1)
    }

    fn change(&mut self, page: &str) -> u64 {
        let version = self.versions.entry(page.to_owned()).or_insert(1);
        *version += 1;
        *version
    }
}

/// First and last byte of a range of a page with so many bytes.
fn part(range: &str, bytes: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().unwrap_or(bytes).min(bytes.checked_sub(1)?));
    (first <= last).then_some((first, last))
}

/// The surrogate key of a page, one of three, by the number at the end of the page's name modulo 3.
pub fn surrogate_key(page: &str) -> String {
    let name_bytes = page.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let number: u64 = page[name_bytes..].parse().unwrap_or(0);
    format!("group-{}", number % 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;
    use crate::wait::eventually;

    #[tokio::test]
    async fn a_fetch_shows_the_version_from_when_it_was_asked() -> anyhow::Result<()> {
        let origin = Versions::start(2, Serving::default()).await?;
        let client = |door: usize| Client::new(origin.doors[door].address(), "shop.test");
        assert_eq!(version_shown("/a/1", &client(0).get("/a/1").await?)?, 1);
        let gate = origin.hold("/a/1");
        let mut slow = client(0);
        let slow = tokio::spawn(async move { slow.get("/a/1").await });
        eventually("it is asked", async || origin.fetches("/a/1") == 2).await;
        let written = client(1).send("PUT", "/a/1", &[], "").await?;
        assert_eq!((written.field(VERSION), origin.version("/a/1")), (Some("2"), 2));
        gate.open();
        assert_eq!(version_shown("/a/1", &slow.await??)?, 1);
        assert_eq!(version_shown("/a/1", &client(1).get("/a/1").await?)?, 2);
        assert_eq!(origin.fetches_by_door("/a/1"), [2, 1]);
        let mut torn = client(1).get("/a/1").await?;
        torn.body.truncate(torn.body.len() - 1);
        assert!(version_shown("/a/1", &torn).is_err() && version_shown("/a/2", &torn).is_err());
        Ok(())
    }

    #[test]
    fn every_third_page_shares_a_surrogate_key() {
        let keys = ["/p0/k1", "/p1/k4", "/p0/k12"].map(surrogate_key);
        assert_eq!(keys, ["group-1", "group-1", "group-0"]);
    }
}
