//! How much of a common resource each client holds: the account by which the resource is divided among clients.
//!
//! Nobody is limited while there is enough. Where it is short, the next piece goes to the client that holds fewest, and
//! one that holds more than its share yields. Holdings are counted by address first and by connection within it, so an
//! address gains nothing by many connections, and the connections of one address (a network behind one router) are told
//! apart.
//!
//! Only clients that hold something are in the account, so its size is bounded by that of the resource.

use std::collections::HashMap;
use std::net::IpAddr;

use sandbar_http::client::ShareKey;

/// An account of pieces (or bytes) by client. All that is held for no client counts as one client's.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    by_holder: HashMap<Holder, Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: u64,
    by_connection: HashMap<u64, u64>,
}

/// The first level of the account: an address, or a connection whose address says nothing about the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// No client.
    Nobody,
    /// A connection of a proxy that does not say which client it forwards for.
    Connection(u64),
    /// All connections of an address.
    Address(IpAddr),
}

impl Holder {
    pub(crate) fn of(client: Option<ShareKey>) -> Self {
        match client {
            None => Self::Nobody,
            Some(ShareKey { connection, address: None }) => Self::Connection(connection),
            Some(ShareKey { address: Some(address), .. }) => Self::Address(address),
        }
    }
}

/// What a client's address holds, and of that its connection. The client with the smallest part gets the next piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    pub(crate) address: u64,
    pub(crate) connection: u64,
}

impl Part {
    /// The amount to compare with another client's: by connection if both have the same holder, else by address.
    pub(crate) const fn against(&self, is_same_holder: bool) -> u64 {
        if is_same_holder { self.connection } else { self.address }
    }
}

impl Holdings {
    /// Notes that a client takes `amount`.
    pub(crate) fn take(&mut self, client: Option<ShareKey>, amount: u64) {
        let held = self.by_holder.entry(Holder::of(client)).or_default();
        held.all += amount;
        *held.by_connection.entry(connection(client)).or_default() += amount;
    }

    /// Notes that a client gives back `amount` of what it took.
    pub(crate) fn give_back(&mut self, client: Option<ShareKey>, amount: u64) {
        let holder = Holder::of(client);
        let Some(held) = self.by_holder.get_mut(&holder) else { return };
        held.all = held.all.saturating_sub(amount);
        if let Some(own) = held.by_connection.get_mut(&connection(client)) {
            *own = own.saturating_sub(amount);
            if *own == 0 {
                held.by_connection.remove(&connection(client));
            }
        }
        if held.all == 0 {
            self.by_holder.remove(&holder);
        }
    }

    /// What a client holds.
    pub(crate) fn of(&self, client: Option<ShareKey>) -> Part {
        let Some(held) = self.by_holder.get(&Holder::of(client)) else { return Part::default() };
        Part { address: held.all, connection: held.by_connection.get(&connection(client)).copied().unwrap_or(0) }
    }
}

fn connection(client: Option<ShareKey>) -> u64 {
    client.map_or(0, |client| client.connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(connection: u64, last: u8) -> Option<ShareKey> {
        Some(ShareKey { connection, address: Some(IpAddr::from([192, 0, 2, last])) })
    }

    #[test]
    fn an_address_counts_before_its_connections() {
        let mut holdings = Holdings::default();
        holdings.take(client(1, 1), 3);
        holdings.take(client(2, 1), 1);
        holdings.take(client(3, 2), 2);
        assert_eq!(holdings.of(client(1, 1)), Part { address: 4, connection: 3 });
        let in_turn = [client(9, 9), client(3, 2), client(4, 1), client(2, 1), client(1, 1)];
        assert!(in_turn.is_sorted_by(|one, next| holdings.of(*one) < holdings.of(*next)));
    }

    #[test]
    fn who_holds_nothing_is_not_remembered() {
        let mut holdings = Holdings::default();
        for connection in 0..1000 {
            let clients = [client(connection, 1), None, Some(ShareKey { connection, address: None })];
            for client in clients {
                holdings.take(client, 2);
                holdings.give_back(client, 1);
                holdings.give_back(client, 1);
            }
        }
        assert!(holdings.by_holder.is_empty());
    }
}
