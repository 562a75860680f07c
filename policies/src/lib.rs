//! Sandbar's stock policies: each one is a guest crate in a folder of its own, and travels here as a built component,
//! so that nobody needs the WebAssembly target to run it.
//!
//! ```
//! let lru = sandbar_policies::find("eviction", "lru").unwrap();
//! assert!(lru.component.starts_with(b"\0asm"));
//! ```

pub mod eviction;

/// A stock policy.
#[derive(Clone, Copy, Debug)]
pub struct Stock {
    /// The role it takes: `freshness`, `eviction`, `invalidation` or `warming`.
    pub role: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its component.
    pub component: &'static [u8],
    /// What it does, in one sentence.
    pub summary: &'static str,
}

/// All of them, in the order of their roles and names.
pub fn stock() -> &'static [Stock] {
    STOCK
}

/// The one that takes `role` under `name`.
pub fn find(role: &str, name: &str) -> Option<&'static Stock> {
    STOCK.iter().find(|stock| stock.role == role && stock.name == name)
}

static STOCK: &[Stock] = include!("../components/table.rs");
