//! Clients whose writes an origin refused again and again: theirs wait for the origin itself for a while, so that nobody fills a
//! tenant's dead letters.

use std::sync::Arc;
use std::time::Duration;

use mini_moka::sync::Cache;
use parking_lot::Mutex;
use sandbar_http::client::ShareKey;

use crate::holdings::Holder;

/// Dead letters of a client after which its writes wait for the origin.
const DEAD_MAX: u32 = 16;
/// For how long, since the last one.
const DISTRUSTED_FOR: Duration = Duration::from_secs(3600);
/// How many clients are remembered so.
const DISTRUSTED_MAX: u64 = 4096;

pub(super) struct Distrust {
    dead: Cache<(Box<str>, Holder), Arc<Mutex<u32>>>,
}

impl Default for Distrust {
    fn default() -> Self {
        Self { dead: Cache::builder().max_capacity(DISTRUSTED_MAX).time_to_idle(DISTRUSTED_FOR).build() }
    }
}

impl Distrust {
    /// Notes that the origin refused a client's write for good.
    pub(super) fn refused(&self, account: &str, client: Option<ShareKey>) {
        let key = (account.into(), Holder::of(client));
        let dead = self.dead.get(&key).unwrap_or_else(|| {
            let fresh = Arc::new(Mutex::new(0));
            self.dead.insert(key, Arc::clone(&fresh));
            fresh
        });
        let mut dead = dead.lock();
        *dead = dead.saturating_add(1);
    }

    pub(super) fn trusts(&self, account: &str, client: Option<ShareKey>) -> bool {
        self.dead.get(&(account.into(), Holder::of(client))).is_none_or(|dead| *dead.lock() < DEAD_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_writes_die_waits_for_the_origin() {
        let distrust = Distrust::default();
        let client = |last| Some(ShareKey { connection: 1, address: Some([192, 0, 2, last].into()) });
        (0..DEAD_MAX).for_each(|_| distrust.refused("shop", client(1)));
        assert!(!distrust.trusts("shop", client(1)));
        assert!(distrust.trusts("shop", client(2)) && distrust.trusts("desk", client(1)));
    }
}
