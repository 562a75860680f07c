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
        name: "2q",
        component: include_bytes!("../components/eviction-2q.wasm"),
        summary: "What is asked for again after it left the queue of new entries is kept by recency.",
    },
    Stock {
        role: "eviction",
        name: "arc",
        component: include_bytes!("../components/eviction-arc.wasm"),
        summary: "Learns from what it evicted too early how much room recent and frequent entries need.",
    },
    Stock {
        role: "eviction",
        name: "clock",
        component: include_bytes!("../components/eviction-clock.wasm"),
        summary: "First in, first out, but what was read gets another round.",
    },
    Stock {
        role: "eviction",
        name: "fifo",
        component: include_bytes!("../components/eviction-fifo.wasm"),
        summary: "The entry that arrived first leaves first.",
    },
    Stock {
        role: "eviction",
        name: "gdsf",
        component: include_bytes!("../components/eviction-gdsf.wasm"),
        summary: "What is read often, costs much to fetch and is small stays.",
    },
    Stock {
        role: "eviction",
        name: "lfu",
        component: include_bytes!("../components/eviction-lfu.wasm"),
        summary: "The entry that was read least leaves first; old popularity ages.",
    },
    Stock {
        role: "eviction",
        name: "lru",
        component: include_bytes!("../components/eviction-lru.wasm"),
        summary: "The entry that was read longest ago leaves first.",
    },
    Stock {
        role: "eviction",
        name: "random",
        component: include_bytes!("../components/eviction-random.wasm"),
        summary: "Any entry leaves, each as likely as another.",
    },
    Stock {
        role: "eviction",
        name: "s3-fifo",
        component: include_bytes!("../components/eviction-s3-fifo.wasm"),
        summary: "New entries are on probation in a small queue; what is read there stays.",
    },
    Stock {
        role: "eviction",
        name: "sieve",
        component: include_bytes!("../components/eviction-sieve.wasm"),
        summary: "A hand moves over the queue and takes what was not read since it passed.",
    },
    Stock {
        role: "eviction",
        name: "tide",
        component: include_bytes!("../components/eviction-tide.wasm"),
        summary: "Pools by experience and worth, under the view that hits most: the house policy.",
    },
    Stock {
        role: "eviction",
        name: "ttl",
        component: include_bytes!("../components/eviction-ttl.wasm"),
        summary: "The entry that expires soonest leaves first.",
    },
    Stock {
        role: "eviction",
        name: "w-tinylfu",
        component: include_bytes!("../components/eviction-w-tinylfu.wasm"),
        summary: "A newcomer has to be asked for more often than what it would replace.",
    },
    Stock {
        role: "invalidation",
        name: "path-keys",
        component: include_bytes!("../components/invalidation-path-keys.wasm"),
        summary: "A write purges its path and the surrogate keys that the settings map the path to.",
    },
]
