//! Nobody is given what was made for another: several visitors ask at once, on each arrangement of tiers, for what depends on
//! who asks. The origin says for whom each of its answers is; each visitor holds what they get against that.

mod bursts;
mod errors;
mod fetched;
mod heads;
mod insisting;
mod leases;
mod ranges;
mod restart;
mod validated;
mod variants;

use sandbar_tests::visitors::{Got, Stage, Tiers};

/// Wrong answers that a failure names one by one, per arrangement.
const NAMED_MAX: usize = 4;

/// Plays a scene on every arrangement of tiers; each time anew. It answers with what its visitors got.
///
/// # Panics
/// Where somebody was given what was made for another, or the scene complains of something else.
async fn on_every_arrangement(scene: impl AsyncFn(&Stage) -> Vec<Got>) -> anyhow::Result<()> {
    on(&Tiers::ALL, scene).await
}

/// The same on some of them.
async fn on(arrangements: &[Tiers], scene: impl AsyncFn(&Stage) -> Vec<Got>) -> anyhow::Result<()> {
    let mut faults = Vec::new();
    for tiers in arrangements {
        let stage = Stage::raise(*tiers).await?;
        let got = scene(&stage).await;
        let wrong: Vec<String> = got.iter().filter_map(|got| stage.judge(got).err()).map(|w| w.to_string()).collect();
        if !wrong.is_empty() {
            let named = wrong.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join("\n    ");
            faults.push(format!(
                "{tiers:?}: {} of {} answers were made for another:\n    {named}",
                wrong.len(),
                got.len()
            ));
        }
        let complaints = stage.complaints();
        if !complaints.is_empty() {
            let named = complaints.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join("\n    ");
            faults.push(format!("{tiers:?}: {} complaints:\n    {named}", complaints.len()));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    Ok(())
}
