//! What clients have of a tenant's share of the journal, so that none of them takes what all need.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mini_moka::sync::Cache;
use parking_lot::Mutex;
use sandbar_http::client::ShareKey;

use crate::holdings::{Holder, Holdings};

/// Where a tenant has used up more than one in so many parts of its bytes, each client has a bound of its own.
const SCARCE_DIVISOR: u64 = 2;
/// That bound: one in so many parts.
const CLIENT_DIVISOR: u64 = 8;
/// Dead letters of a client after which its writes wait for the origin.
const DEAD_MAX: u32 = 16;
/// For how long, since the last one.
const DISTRUSTED_FOR: Duration = Duration::from_secs(3600);
/// How many clients are remembered so.
const DISTRUSTED_MAX: u64 = 4096;

pub(super) struct Shares {
    /// Of each account, what was taken since nothing was owed last.
    taken: Mutex<HashMap<String, Taken>>,
    dead: Cache<(Box<str>, Holder), Arc<Mutex<u32>>>,
}

#[derive(Default)]
struct Taken {
    bytes: u64,
    by_client: Holdings,
}

impl Default for Shares {
    fn default() -> Self {
        let dead = Cache::builder().max_capacity(DISTRUSTED_MAX).time_to_idle(DISTRUSTED_FOR).build();
        Self { taken: Mutex::default(), dead }
    }
}

impl Shares {
    /// Takes bytes for a client; false where they are short and it has had its share. `bound_bytes` is the account's.
    pub(super) fn take(&self, account: &str, client: Option<ShareKey>, bytes: u64, bound_bytes: u64) -> bool {
        let mut all = self.taken.lock();
        if !all.contains_key(account) {
            all.insert(account.to_owned(), Taken::default());
        }
        let Some(taken) = all.get_mut(account) else { return true };
        let has = taken.by_client.of(client).address;
        if taken.bytes > bound_bytes / SCARCE_DIVISOR && has + bytes > bound_bytes / CLIENT_DIVISOR {
            return false;
        }
        taken.bytes = taken.bytes.saturating_add(bytes);
        taken.by_client.take(client, bytes);
        true
    }

    /// Nothing of the account is owed any more.
    pub(super) fn clear(&self, account: &str) {
        self.taken.lock().remove(account);
    }

    pub(super) fn distrust(&self, account: &str, client: Option<ShareKey>) {
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
    fn a_client_takes_an_eighth_at_most_where_bytes_are_short() {
        let shares = Shares::default();
        let hog = Some(ShareKey { connection: 1, address: Some([192, 0, 2, 1].into()) });
        let other = Some(ShareKey { connection: 2, address: Some([192, 0, 2, 2].into()) });
        while shares.take("shop", hog, 10, 1000) {}
        assert!(shares.taken.lock()["shop"].bytes > 500, "nobody is held back while there is enough");
        for _ in 0..12 {
            assert!(shares.take("shop", other, 10, 1000));
        }
        assert!(!shares.take("shop", other, 10, 1000));
        assert!(shares.take("desk", hog, 10, 1000), "another tenant's bytes are its own");
        shares.clear("shop");
        assert!(shares.take("shop", hog, 10, 1000));
    }

    #[test]
    fn whose_writes_die_waits_for_the_origin() {
        let shares = Shares::default();
        let client = |last| Some(ShareKey { connection: 1, address: Some([192, 0, 2, last].into()) });
        (0..DEAD_MAX).for_each(|_| shares.distrust("shop", client(1)));
        assert!(!shares.trusts("shop", client(1)));
        assert!(shares.trusts("shop", client(2)) && shares.trusts("desk", client(1)));
    }
}
