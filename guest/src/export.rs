//! The export macros. Natively they only check that the type has the trait: a library with WebAssembly exports would
//! not link.

/// Exports a type as the component's freshness policy.
#[macro_export]
macro_rules! export_freshness {
    ($policy:ty) => {
        $crate::__export!($policy, freshness, Freshness, FreshnessOf);
    };
}

/// Exports a type as the component's eviction policy: `Shard<P>` of a [`Replacement`](crate::eviction::Replacement), or
/// a type that implements [`Eviction`](crate::eviction::Eviction) itself.
#[macro_export]
macro_rules! export_eviction {
    ($policy:ty) => {
        $crate::__export!($policy, eviction, Eviction, EvictionOf);
    };
}

/// Exports a type as the component's invalidation policy.
#[macro_export]
macro_rules! export_invalidation {
    ($policy:ty) => {
        $crate::__export!($policy, invalidation, Invalidation, InvalidationOf);
    };
}

/// Exports a type as the component's warming policy.
#[macro_export]
macro_rules! export_warming {
    ($policy:ty) => {
        $crate::__export!($policy, warming, Warming, WarmingOf);
    };
}

/// What the four macros have in common: where the policy's instance is kept, and the exports that call it.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($policy:ty, $role:ident, $trait:ident, $exports:ident) => {
        const _: () = {
            const fn has_the_trait<P: $crate::$role::$trait>() {}
            has_the_trait::<$policy>();
        };

        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, missing_docs, reason = "generated")]
        const _: () = {
            ::std::thread_local! {
                static POLICY: ::core::cell::RefCell<::core::option::Option<$policy>> =
                    const { ::core::cell::RefCell::new(::core::option::Option::None) };
            }

            struct Home;

            impl $crate::bindings::Home for Home {
                type Policy = $policy;

                fn keep(policy: $policy) {
                    POLICY.set(::core::option::Option::Some(policy));
                }

                fn with<R>(ask: impl FnOnce(&mut $policy) -> R) -> R {
                    POLICY.with_borrow_mut(|policy| ask(policy.as_mut().expect("configure comes first")))
                }
            }

            type Exports = $crate::bindings::$exports<Home>;
    $crate::bindings::$role::export!(Exports with_types_in $crate::bindings::$role);
        };
    };
}
