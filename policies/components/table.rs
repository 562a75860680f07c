// Written by `sandbar policy build --stock`.
&[
    Stock {
        role: "freshness",
        name: "early-refresh",
        component: include_bytes!("../components/freshness-early-refresh.wasm"),
        summary: "Refreshes what is in use before it is stale: in the last part of its lifetime with set odds, or by XFetch.",
    },
    Stock {
        role: "freshness",
        name: "standard",
        component: include_bytes!("../components/freshness-standard.wasm"),
        summary: "What RFC 9111 says, unchanged: the floor.",
    },
    Stock {
        role: "eviction",
        name: "lru",
        component: include_bytes!("../components/eviction-lru.wasm"),
        summary: "Stock policy: eviction/lru.",
    },
    Stock {
        role: "eviction",
        name: "s3-fifo",
        component: include_bytes!("../components/eviction-s3-fifo.wasm"),
        summary: "Stock policy: eviction/s3-fifo.",
    },
    Stock {
        role: "invalidation",
        name: "path-keys",
        component: include_bytes!("../components/invalidation-path-keys.wasm"),
        summary: "A write purges its path and the surrogate keys that the settings map the path to.",
    },
]
