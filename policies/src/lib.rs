//! Sandbar's stock policies: each one is a guest crate in a folder of its own, and is included here as a built
//! component, so that nobody needs the WebAssembly target to run it.
//!
//! ```
//! let lru = sandbar_policies::find("eviction", "lru").unwrap();
//! assert!(lru.component.starts_with(b"\0asm"));
//! ```

pub mod eviction;

/// A stock policy.
#[derive(Clone, Copy, Debug)]
pub struct Stock {
    /// The role that the policy has: `freshness`, `eviction`, `invalidation` or `warming`.
    pub role: &'static str,
    /// The name under which the policy is bound.
    pub name: &'static str,
    /// The bytes of the component.
    pub component: &'static [u8],
    /// What the policy does, in one sentence.
    pub summary: &'static str,
}

/// All stock policies, in the order of their roles and names.
pub fn stock() -> &'static [Stock] {
    STOCK
}

/// The stock policy of a role by its name; none where there is no such policy.
pub fn find(role: &str, name: &str) -> Option<&'static Stock> {
    STOCK.iter().find(|stock| stock.role == role && stock.name == name)
}

static STOCK: &[Stock] = include!("../components/table.rs");
