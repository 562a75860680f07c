//! `sandbar demo`: a real origin, the gateway in front of it, two tenants, a load, and a policy swapped half way.
//!
//! Everything goes over real sockets. The origin is a database-backed server with a thread of its own. Visitors compare
//! every byte from the cache with what the origin must have sent; at the end the counts of visitors, gateway and origin
//! are compared with each other.

mod aside;
mod board;
mod catalogue;
mod client;
mod film;
mod lines;
mod load;
mod origin;
mod random;
mod scene;
mod screen;
mod stage;
mod summary;
mod swap;
mod view;
mod workload;

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;

use board::Board;
use screen::Screen;
use stage::{Stage, Watch};
use summary::SwapSummary;

pub use summary::Summary;

/// How the demo runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// How many seconds the demo lasts; with none it runs until a key or a signal ends it.
    pub seconds: Option<u64>,
    /// Whether progress is told on standard error, and standard output is left to the caller.
    pub quiet: bool,
}

/// Time between two pictures.
const TICK: Duration = Duration::from_millis(500);
/// Time between two looks at the keyboard.
const KEYS: Duration = Duration::from_millis(50);
/// When the policy is swapped in a demo without an end.
const SWAP_AFTER: Duration = Duration::from_secs(30);
/// The longest of the windows before and after the swap that are compared.
const WINDOW_MAX: Duration = Duration::from_secs(10);

/// Runs the demo until its time is over, or a key or a signal ends it; returns a summary. Its data is in a temporary
/// directory, which is removed.
///
/// # Errors
/// When the demo can't be set up or goes on no longer. What the summary says may be a failure too: see
/// [`Summary::check`].
pub async fn run(options: Options) -> anyhow::Result<Summary> {
    let stage = Stage::set().await?;
    let mut board = Board::new(stage.listen(), stage.admin()?, options.seconds);
    let played = play(options, &mut board, stage.watch()).await;
    let (last, watch) = stage.clear().await?;
    played?;
    Ok(Summary::of(&last, watch.through.percentiles(), board.swap))
}

/// Shows the demo until its end, and swaps the policy half way.
async fn play(options: Options, board: &mut Board, watch: &Watch) -> anyhow::Result<()> {
    let half = options.seconds.map_or(SWAP_AFTER, |seconds| Duration::from_secs(seconds) / 2);
    let window = window(options.seconds);
    let mut screen = Screen::open(options.quiet)?;
    board.tell(format!("gateway on http://{}, admin API on http://{}", board.listen, board.admin));
    board.tell(board.try_it());
    let mut ticks = tokio::time::interval(TICK);
    let mut keys = tokio::time::interval(KEYS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    keys.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told_to_end = std::pin::pin!(told_to_end());
    let mut effect_told = false;
    loop {
        tokio::select! {
            told = &mut told_to_end => return Ok(told?),
            _ = keys.tick() => {
                if screen.is_left()? {
                    return Ok(());
                }
                continue;
            }
            _ = ticks.tick() => look(board, watch),
        }
        let elapsed = watch.elapsed();
        match &mut board.swap {
            None if elapsed >= half => swap(board, window).await?,
            Some(swap) if elapsed.as_secs_f64() >= swap.at_seconds + window.as_secs_f64() => {
                swap.after(&board.film.recent(scene::SWAPPED, window));
                let effect = swap.effect();
                if !std::mem::replace(&mut effect_told, true) {
                    board.tell(effect);
                }
            }
            _ => {}
        }
        screen.show(board)?;
        if options.seconds.is_some_and(|seconds| elapsed >= Duration::from_secs(seconds)) {
            return Ok(());
        }
    }
}

/// Length of the windows before and after the swap: a quarter of the demo, in whole rounds of the crawler.
fn window(seconds: Option<u64>) -> Duration {
    let quarter = seconds.map_or(WINDOW_MAX, |seconds| Duration::from_secs(seconds) / 4).min(WINDOW_MAX);
    let rounds = quarter.as_millis() / scene::SCAN_EVERY.as_millis();
    if rounds == 0 { quarter } else { scene::SCAN_EVERY * u32::try_from(rounds).unwrap_or(1) }
}

fn look(board: &mut Board, watch: &Watch) {
    board.film.add(watch.picture());
    board.with_cache = watch.through.percentiles();
    for (whose, tally) in [("through the gateway", &watch.through), ("past the gateway", &watch.past)] {
        if let Some(complaint) = tally.take_complaint() {
            board.tell(format!("failed {whose}: {complaint}"));
        }
    }
}

async fn swap(board: &mut Board, window: Duration) -> anyhow::Result<()> {
    let Some(tenant) = board.film.last().and_then(|last| last.tenants.get(scene::SWAPPED)).cloned() else {
        return Ok(());
    };
    let mut swap = SwapSummary {
        tenant: tenant.name.clone(),
        from: tenant.eviction,
        to: format!("{} (guest)", scene::SWAPPED_TO),
        at_seconds: board.film.last().map_or(0.0, |last| last.elapsed.as_secs_f64()),
        window_seconds: window.as_secs_f64(),
        ..SwapSummary::default()
    };
    swap.before(&board.film.recent(scene::SWAPPED, window));
    let took = swap::bind_eviction(board.admin, &tenant.name, scene::SWAPPED_TO).await?;
    swap.took_ms = took.as_secs_f64() * 1000.0;
    let SwapSummary { tenant, from, to, took_ms, .. } = &swap;
    board.tell(format!("swap: {tenant}'s evictions from {from} to {to} over the admin API, in {took_ms:.0} ms"));
    board.swap = Some(swap);
    Ok(())
}

/// Waits for a signal: Ctrl-C, that of service managers (SIGTERM), or that of a closed terminal (SIGHUP).
async fn told_to_end() -> std::io::Result<()> {
    let [mut interrupt, mut terminate, mut hang_up] =
        [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?];
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_whole_rounds_of_the_crawler() {
        let seconds = |seconds| window(seconds).as_secs_f64();
        assert_eq!(seconds(None), 10.0);
        assert_eq!(seconds(Some(3600)), 10.0);
        assert_eq!(seconds(Some(20)), 5.0);
        assert_eq!(seconds(Some(11)), 2.5);
        assert_eq!(seconds(Some(4)), 1.0);
    }
}
