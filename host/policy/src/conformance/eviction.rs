//! The rules of eviction policies.

use sandbar_guest::eviction::Knowledge;
use sandbar_guest::eviction::knowledge::Ghost;
use sandbar_memory::eviction::EvictionFactory;

use super::shard::Shard;
use super::{Broken, Finding};
use crate::{OpenError, Role, TenantPolicies};

/// Random events of one run.
const STEPS: u64 = 20_000;
/// After so many the order is asked for.
const ORDER_AFTER: u64 = 500;
/// Seed and capacity of each run.
const RUNS: [(u64, u64); 4] = [(1, 1000), (2, 100), (3, 5000), (4, 1)];

type Rule = fn(&dyn EvictionFactory) -> Result<(), Broken>;

const RULES: [(&str, Rule); 5] = [
    ("names residents as victims, frees enough, and has each entry in its order once", keeps_the_contract),
    ("gives up everything when told to, and no more than there is", gives_up_everything),
    ("decides the same from the same inputs", is_deterministic),
    ("takes over from itself at any capacity", takes_over),
    ("is not broken by nonsense in what is handed over", survives_nonsense),
];

pub(super) fn examine(open: &dyn Fn() -> Result<TenantPolicies, OpenError>) -> Vec<Finding> {
    let examine = |(rule, kept): (&'static str, Rule)| {
        let found = open().map_err(Broken::from).and_then(|policies| {
            kept(&*policies.eviction())?;
            without_faults(&policies, Role::Eviction)
        });
        Finding::of(rule, found)
    };
    RULES.into_iter().map(examine).collect()
}

/// What the host counted against a policy.
pub(super) fn without_faults(policies: &TenantPolicies, role: Role) -> Result<(), Broken> {
    let bound = policies.list().into_iter().find(|bound| bound.role == role);
    match bound {
        Some(bound) if bound.faults > 0 => {
            let last =
                bound.last_faults.first().map_or_else(String::new, |fault| format!("; the last one: {}", fault.fault));
            Err(Broken(format!("it failed {} times{last}", bound.faults)))
        }
        _ => Ok(()),
    }
}

fn keeps_the_contract(factory: &dyn EvictionFactory) -> Result<(), Broken> {
    for (seed, capacity_bytes) in RUNS {
        let mut shard = Shard::new(factory, capacity_bytes, seed)?;
        for step in 0..STEPS {
            let at =
                |Broken(how)| Broken(format!("{how} (step {step} in a shard of {capacity_bytes} bytes, seed {seed})"));
            shard.step().map_err(at)?;
            if step.is_multiple_of(ORDER_AFTER) {
                shard.order().map_err(at)?;
            }
        }
    }
    Ok(())
}

fn gives_up_everything(factory: &dyn EvictionFactory) -> Result<(), Broken> {
    let mut shard = Shard::new(factory, 100, 1)?;
    for key in 0..50 {
        shard.request(key, 3)?;
    }
    shard.reclaim(u64::MAX)?;
    for key in 0..50 {
        shard.request(key, 3)?;
    }
    let all = shard.bytes();
    shard.reclaim(all)?;
    if shard.bytes() > 0 { Err(Broken(format!("it keeps {} bytes", shard.bytes()))) } else { Ok(()) }
}

fn is_deterministic(factory: &dyn EvictionFactory) -> Result<(), Broken> {
    let run = || {
        let mut shard = Shard::new(factory, 700, 9)?;
        for _ in 0..5_000 {
            shard.step()?;
        }
        Ok::<_, Broken>((shard.residents(), shard.order()?))
    };
    if run()? == run()? {
        Ok(())
    } else {
        Err(Broken("a second instance decided otherwise from the same inputs".into()))
    }
}

fn takes_over(factory: &dyn EvictionFactory) -> Result<(), Broken> {
    for capacity_bytes in [5_000, 1_000, 20_000] {
        let mut shard = Shard::new(factory, 5_000, 1)?;
        steps(&mut shard, 3_000)?;
        let before = shard.residents().len();
        let knowledge = shard.hand_over()?;
        shard.swap(factory, capacity_bytes, &knowledge)?;
        let after = shard.residents().len();
        if capacity_bytes >= 5_000 && after < before {
            return Err(Broken(format!("it takes over {after} of {before} entries where all have room")));
        }
        steps(&mut shard, 3_000)?;
        shard.order()?;
    }
    Ok(())
}

fn survives_nonsense(factory: &dyn EvictionFactory) -> Result<(), Broken> {
    for (round, capacity_bytes) in [2_000, 300, 9_000].into_iter().cycle().take(30).enumerate() {
        let mut shard = Shard::new(factory, 2_000, round as u64)?;
        steps(&mut shard, 1_000)?;
        let mut knowledge = shard.hand_over()?;
        spoil(&mut shard, &mut knowledge);
        shard.swap(factory, capacity_bytes, &knowledge)?;
        steps(&mut shard, 1_000)?;
    }
    Ok(())
}

/// Changes bytes that were handed over, cuts some off, and puts in ghosts and reads that can't be.
fn spoil(shard: &mut Shard, knowledge: &mut Knowledge) {
    let draws = &mut shard.draws;
    for _ in 0..draws.below(20) {
        let at = draws.below(knowledge.private.len().max(1) as u64) as usize;
        let byte = [0, 1, 0x7f, 0x80, 0xff, 0x55][draws.below(6) as usize];
        if let Some(spoilt) = knowledge.private.get_mut(at) {
            *spoilt = byte;
        }
    }
    if draws.below(4) == 0 {
        knowledge.private.truncate(draws.below(knowledge.private.len() as u64 + 1) as usize);
    }
    if draws.below(4) == 0 {
        let ghost = |number: u64| Ghost { key_hash: number / 2, weight_bytes: number << 20, reads: 0xff };
        knowledge.ghosts = (0..3_000).map(ghost).collect();
    }
    if draws.below(4) == 0 {
        knowledge.reads = vec![0xff; 5_000];
    }
}

fn steps(shard: &mut Shard, steps: u64) -> Result<(), Broken> {
    (0..steps).try_for_each(|_| shard.step())
}
