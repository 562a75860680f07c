//! All that was settled by trying, in one table: what each number is, what it was settled on, and what another value or
//! none costs where that was measured. "By patterns" says that the 35 patterns made by code decided, in a simulator that
//! no longer exists; for these, the costs are by how much more of the patterns that were held out is missed in the mean
//! (0.5658 in entries, 0.3940 in bytes), which is a difference of mean regret. What is not on the six whole traces or the
//! held-out patterns at all (costs of fetches, swaps) has no such figure. `tests/tests/tide_regret` finds them out:
//!
//! ```sh
//! cargo test --release --workspace --features sandbar-policy-tide/tuning --test tide_regret --no-run
//! TIDE_MARGIN=0.5 target/release/deps/tide_regret-* misses_of_tide_as_built --ignored --nocapture
//! ```

#[cfg(feature = "tuning")]
mod tuned;

/// A function for each constant. With the feature `tuning`, the variable `TIDE_` and its name in capitals says another value.
macro_rules! constants {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $value:expr;)*) => {$(
        $(#[$doc])*
        #[inline]
        pub(crate) fn $name() -> $type {
            #[cfg(feature = "tuning")]
            {
                static TUNED: std::sync::OnceLock<$type> = std::sync::OnceLock::new();
                *TUNED.get_or_init(|| tuned::or(stringify!($name), $value))
            }
            #[cfg(not(feature = "tuning"))]
            {
                $value
            }
        }
    )*};
}

constants! {
    // --- The trials (`trial`).

    /// Entries that a miniature cache has at most; there are half as many after the sample was halved. By the six whole
    /// traces: half as many cost 0.0015 there (-0.0036 instead of -0.0051, five samples), and half of the time.
    entries_max: u32 = 1536;
    /// Keys that are known to the trials at most: resident or lately gone in one of them. No view remembers for more
    /// than two capacities.
    keys_max: u32 = 3 * entries_max();
    /// Keys that are in use and get another round before one is forgotten all the same: a bound of the time that it
    /// takes.
    rounds_max: u32 = 8;
    /// Trials begin with so many entries, or with the first eviction: an idle shard should cost next to nothing.
    trial_entries: u32 = 64;
    /// What was won counts half after this many requests per entry of a miniature cache ... By patterns and the six
    /// whole traces. Never: +0.0005 in entries, +0.0004 in bytes.
    half_life: f32 = 8.0;
    /// ... but not after fewer requests than this. By patterns. Without: 0.0000, -0.0001.
    half_life_requests_min: f32 = 500.0;
    /// Verdicts are this many requests apart, which saves time. By patterns. 128: +0.0003, -0.0003.
    period: u32 = 16;
    /// How much better the next view has to be, in standard deviations of chance. By patterns and the six whole
    /// traces. Without: -0.0008, -0.0002, but then whatever is ahead by chance is followed.
    margin: f32 = 1.5;
    /// What a miniature holds the cache takes in again if it was read so often there: twice, as one part of a loop is
    /// as good as another. By patterns. Once: +0.0001, -0.0001.
    held_reads_min: u8 = 2;
    /// What all miniatures hold is shown to them again after so many requests per entry of one of them: a key that is
    /// read all the time would cost much and say nothing. By what batches cost: at most 0.1 points in each case of the
    /// six whole traces, and 0.12 with a 32nd. Misses are the same to 0.03 points between never and a 32nd; a 16th
    /// misses more.
    lately: f32 = 1.0 / 48.0;
    /// What was won before a switch counts less after it, so that a wrong one is soon undone. By patterns. All of it:
    /// +0.0003, 0.0000.
    kept_by_switch: f32 = 0.25;
    /// With each switch lately the next one keeps more, all of it after so many ... By the six traces recorded here
    /// among others, as are the next two: without the three, -0.0044 and not -0.0039 in entries of the six whole
    /// traces, but at worst +2.8 % and not +1.8 %; in bytes of what was held out -0.0152 and not -0.0163, at worst
    /// +16.8 % and not +13.2 %.
    switches_max: f32 = 6.0;
    /// ... and what was won counts for longer, by this part of its half-life: where parts of the traffic that take
    /// turns look best under another view each, and each is over when its view is followed, all of them together are to
    /// judge.
    patience: f32 = 0.5;
    /// A switch counts half after so many half-lives.
    switch_half_lives: f32 = 4.0;

    // --- How large a miniature is (`trial::share`).

    /// Part of the difference between the share of the sample's keys and what the cache shows that a request makes
    /// good. By patterns. Without: +0.0001, +0.0001.
    follow: f64 = 1.0 / 64.0;
    /// The share is at most so many times what the hashes promise, or what they promise so many times the share: one
    /// large entry should not make all others of the sample fit. By patterns. Without: 0.0000, 0.0000.
    ratio_max: f64 = 4.0;

    // --- Which view comes first (`lib`).

    /// If fewer of the requests than this share were reads when the cache is full for the first time, recency has
    /// failed. By `glimpse`: with [`stranger_part`] it took the seven traces from elsewhere from +0.0026 in entries, at
    /// worst +9.5 %, to -0.0027 and +6.2 %.
    read_share_min: f64 = 0.03;
    /// Of what a policy of another kind hands over, the share that begins as newcomers. By the table of swaps.
    unproved_share: f64 = 0.3;

    // --- What views have in common (`view`, `pools`).

    /// No view remembers for longer, in capacities that were evicted. Without ghosts +0.0034 and not -0.0046 in entries
    /// of the six whole traces, and at worst +259 % of what was held out.
    memory_max: f64 = 2.0;
    /// Even where nothing else is let in, what was read once leaves after so many times the entries were evicted. By
    /// patterns. Without: -0.0001, -0.0001.
    hold_max: f32 = 16.0;
    /// One newcomer in two to this power is lucky (Qureshi et al., Adaptive insertion policies, ISCA 2007: one in 32
    /// and one in 64). Without luck +0.0093 and not +0.0005 in entries of what was held out, at worst +70.7 % and not
    /// +10.2 %.
    lucky_bits: u32 = 5;
    /// All newcomers are lucky while more than this part of the cache is on probation, so that a loop takes the place
    /// of what other views let in. By patterns. Without: 0.0000, +0.0014.
    probation_part: u64 = 32;
    /// What comes back is lucky while more than this part of the cache came once and was not read since. By `glimpse`.
    stranger_part: u64 = 2;

    // --- Worth (`worth`).

    /// Levels of worth are this far apart, in octaves: 25 of them span 2^4 to 2^22 bytes. By patterns. Twice as far:
    /// 0.0000, +0.0007.
    level_octaves: f32 = 0.75;
    /// What is worth more per byte than a usual entry of 2^4 bytes is level 0.
    first_octave: f32 = 4.0;
    /// A fetch counts as at most 2^5 times as dear or as cheap as the usual one. By patterns.
    cost_octaves_max: f32 = 5.0;
    /// Share of a new cost in what is usual. By patterns.
    learn: f32 = 1.0 / 64.0;
}
