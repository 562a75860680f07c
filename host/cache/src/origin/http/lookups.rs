//! Look-ups of names on threads of their own, which can't be given up: one at a time for each name, and a bounded number of
//! all, however long they take.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

/// Look-ups, and those of them that are under way.
pub(super) struct Lookups {
    places: Arc<Semaphore>,
    lookup: fn(&str) -> io::Result<Vec<IpAddr>>,
    under_way: Mutex<HashMap<Arc<str>, UnderWay>>,
}

type Answer = Result<Vec<IpAddr>, Arc<io::Error>>;
type UnderWay = Shared<BoxFuture<'static, Answer>>;

/// A name in the table of those that are looked up; taken out when this is dropped.
struct Entered {
    name: Arc<str>,
    lookups: Arc<Lookups>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.lookups.under_way.lock().remove(&self.name);
    }
}

impl Lookups {
    /// Look-ups by this function, which may block; so many at once at most.
    pub(super) fn new(places: usize, lookup: fn(&str) -> io::Result<Vec<IpAddr>>) -> Arc<Self> {
        Arc::new(Self { places: Arc::new(Semaphore::new(places)), lookup, under_way: Mutex::default() })
    }

    /// Waits for the look-up of a name that is under way, or begins one. It goes on when nobody waits for it any more.
    pub(super) async fn ask(self: &Arc<Self>, host: &str) -> io::Result<Vec<IpAddr>> {
        let answer = self.joined(host).await;
        answer.map_err(|error| io::Error::new(error.kind(), error.to_string()))
    }

    fn joined(self: &Arc<Self>, host: &str) -> UnderWay {
        let mut under_way = self.under_way.lock();
        if let Some(answer) = under_way.get(host) {
            return answer.clone();
        }
        let name: Arc<str> = host.into();
        let entered = Entered { name: Arc::clone(&name), lookups: Arc::clone(self) };
        let (tell, told) = oneshot::channel();
        let answer = async move { told.await.unwrap_or_else(|lost| Err(Arc::new(io::Error::other(lost)))) };
        let answer = answer.boxed().shared();
        under_way.insert(name, answer.clone());
        // A runtime that ends drops the task at once, which takes the name out again.
        drop(under_way);
        tokio::spawn(async move { _ = tell.send(begin(entered).await) });
        answer
    }
}

/// Looks a name up on a thread for what blocks. The name and the place are held until the thread is done.
async fn begin(entered: Entered) -> Answer {
    let place =
        Arc::clone(&entered.lookups.places).acquire_owned().await.map_err(|error| Arc::new(io::Error::other(error)))?;
    let looked_up = tokio::task::spawn_blocking(move || {
        let answer = (entered.lookups.lookup)(&entered.name);
        drop((entered, place));
        answer
    });
    looked_up.await.unwrap_or_else(|failed| Err(failed.into())).map_err(Arc::new)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    use super::*;

    /// How often names were looked up, and the other end of what each look-up waits for.
    static BEGUN: AtomicUsize = AtomicUsize::new(0);
    static MAY_END: Mutex<Option<Receiver<()>>> = Mutex::new(None);

    fn hangs(_: &str) -> io::Result<Vec<IpAddr>> {
        BEGUN.fetch_add(1, Ordering::SeqCst);
        let ends = MAY_END.lock().as_ref().map(Receiver::recv);
        if ends.is_some_and(|ends| ends.is_ok()) { Ok(vec![[192, 0, 2, 1].into()]) } else { panic!("a look-up breaks") }
    }

    async fn begun(count: usize) {
        while BEGUN.load(Ordering::SeqCst) < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[test]
    fn on_a_runtime_that_ends_a_look_up_fails_and_is_in_nobodys_way() {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let handle = runtime.handle().clone();
        drop(runtime);
        let lookups = Lookups::new(1, |_| Ok(Vec::new()));
        let _entered = handle.enter();
        let answer = lookups.joined("a.test");
        assert!(answer.now_or_never().is_some_and(|answer| answer.is_err()));
        assert!(lookups.under_way.lock().is_empty());
    }

    #[tokio::test]
    async fn however_often_they_are_given_up_names_take_one_thread_each_and_have_a_bound() {
        let (end, ends): (Sender<()>, _) = channel();
        *MAY_END.lock() = Some(ends);
        let lookups = Lookups::new(1, hangs);
        for _ in 0..20 {
            for name in ["a.test", "b.test"] {
                let given_up = tokio::time::timeout(Duration::from_millis(1), lookups.ask(name)).await;
                assert!(given_up.is_err());
            }
        }
        begun(1).await;
        assert_eq!((BEGUN.load(Ordering::SeqCst), lookups.under_way.lock().len()), (1, 2), "one of two has the place");
        // Both have joined the look-up before it may end: after it they would begin another one.
        let ends = async { end.send(()).expect("it waits") };
        let (first, joined, ()) = tokio::join!(biased; lookups.ask("a.test"), lookups.ask("a.test"), ends);
        assert!(first.is_ok_and(|ips| joined.is_ok_and(|others| others == ips)));
        begun(2).await;
        drop(end);
        assert!(lookups.ask("b.test").await.is_err(), "its thread has panicked");
        assert!(lookups.under_way.lock().is_empty());
    }
}
