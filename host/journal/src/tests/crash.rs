//! Random operations, a machine that stops at a random moment of them, and what must be there afterwards.

use std::num::NonZeroU64;
use std::time::Duration;

use fastrand::Rng;
use sandbar_base::Timestamp;

use super::double::{Double, Faults};
use super::model::{Fate, Model};
use super::support::{DIR, Driven, NOW, many, small, write};
use crate::handed::Handed;
use crate::letters::{Overtaken, Retry};
use crate::{OpenError, Settings, Write};

/// Crashes of one journal in a row.
const CRASHES: usize = 5;
/// Operations before a machine stops, at most.
const OPERATIONS_MAX: u64 = 120;
const KEYS: [&str; 4] = ["a", "b", "c", "d"];

/// One journal over several crashes.
struct Life {
    random: Rng,
    files: Double,
    settings: Settings,
    model: Model,
    now: Timestamp,
    under_way: Vec<Handed>,
    /// How often what nobody was told of was there, and what was done came again.
    unknown: usize,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let held_bytes_max = [0, 400, 1 << 20][random.usize(0..3)];
        let segment_bytes = [512, 1024, 4096][random.usize(0..3)];
        Self {
            files: Double::new(random.u64(..)),
            settings: Settings { held_bytes_max, segment_bytes, ..small() },
            model: Model::default(),
            now: NOW,
            under_way: Vec::new(),
            unknown: 0,
            random,
        }
    }

    /// Opens the journal, however often the machine stops meanwhile.
    fn open(&mut self) -> Driven {
        loop {
            if self.random.u32(0..8) == 0 {
                self.files.stop_in(self.random.u64(1..8));
            }
            match Driven::open(&self.files, self.settings.clone()) {
                Ok(driven) => {
                    assert_eq!(driven.found.damage, [], "a crash is no damage");
                    return driven;
                }
                Err(OpenError::Refused { .. }) if self.files.has_stopped() => self.files = self.files.after_crash(),
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn live(&mut self) {
        for _ in 0..CRASHES {
            let mut driven = self.open();
            self.unknown += self.model.check_after_crash(&driven.writer.shared);
            // Now and then the process alone dies, and what it wrote is still in the memory of the system.
            let is_killed = self.random.u32(0..4) == 0;
            self.files.stop_in(if is_killed { u64::MAX } else { self.random.u64(1..OPERATIONS_MAX) });
            let steps_max = if is_killed { self.random.u64(1..OPERATIONS_MAX) } else { 400 };
            let mut steps = 0;
            while !self.files.has_stopped() && steps < steps_max {
                self.step(&mut driven);
                steps += 1;
                if !self.files.has_stopped() && steps % 16 == 0 {
                    self.model.check(&driven.writer.shared);
                }
            }
            self.under_way.clear();
            self.files.set_faults(Faults::default());
            if !is_killed {
                self.files = self.files.after_crash();
            }
        }
        self.end();
    }

    /// All is delivered in order, and the files are gone but for what is needed.
    fn end(&mut self) {
        let mut driven = self.open();
        self.model.check_after_crash(&driven.writer.shared);
        self.files.stop_in(u64::MAX);
        for delivered in driven.drain("shop") {
            let number = self.model.number_of(&delivered);
            let line = self.model.lines.get_mut(&delivered.key[..]).expect("a line");
            assert_eq!(line.pop_front(), Some(number), "out of order");
        }
        assert!(self.model.lines.values().all(|line| line.is_empty()));
        let dead = self.model.tried.iter().filter(|tried| tried.fate == Fate::Dead).count() as u64;
        let mut seqs: Vec<u64> =
            driven.writer.shared.queue.read().buried("shop", None, 1000).iter().map(|b| b.seq).collect();
        assert_eq!(seqs.len() as u64, dead);
        for seq in seqs.drain(..) {
            assert!(driven.writer.shared.settle(|queue| queue.drop_dead("shop", seq)));
        }
        driven.writer.round().expect("the disk is well");
        let mut last = driven.append(&[write("z", "0")]);
        last.pop().expect("one").expect("the disk is well");
        let bytes = self.files.bytes();
        assert!(self.files.segments().len() <= 2 && bytes <= 2 * 4096 + 4096, "{:?} {bytes}", self.files.segments());
    }

    fn step(&mut self, driven: &mut Driven) {
        match self.random.u32(0..100) {
            0..45 => self.append(driven),
            45..65 => self.take(driven),
            65..85 => self.settle(),
            85..90 => self.round(driven),
            90..93 => self.revive(driven),
            93..95 => self.drop_dead(driven),
            95..97 => self.now = self.now.saturating_add(Duration::from_secs(self.random.u64(0..5))),
            _ => self.trouble(),
        }
    }

    fn append(&mut self, driven: &mut Driven) {
        let len = self.random.usize(1..5);
        let first = self.model.tried.len();
        let writes: Vec<Write> = (first..first + len).map(|number| self.a_write(number)).collect();
        for write in &writes {
            self.model.try_write(write.clone());
        }
        let told = driven.append(&writes);
        // Nothing of this group may have been told before it is known whether all of it is there.
        let is_written = told.iter().any(Result::is_ok);
        if is_written {
            assert!(told.iter().all(Result::is_ok));
            self.model.synced();
        }
        for (number, told) in (first..).zip(told) {
            match told {
                Ok(seq) => self.model.acknowledged(number, seq),
                Err(_) if self.files.has_stopped() => {}
                Err(_) => self.model.tried[number].fate = Fate::Refused,
            }
        }
    }

    fn a_write(&mut self, number: usize) -> Write {
        let len = [0, 10, 200, 700][self.random.usize(0..4)];
        let content: Vec<u8> = std::iter::repeat_with(|| self.random.u8(..)).take(len).collect();
        Write {
            content: content.into(),
            idempotency_key: number.to_string(),
            replaces: self.random.bool(),
            author: self.random.u64(0..2),
            client: NonZeroU64::new(self.random.u64(0..3)),
            at: self.now,
            ..write(KEYS[self.random.usize(0..KEYS.len())], "")
        }
    }

    fn take(&mut self, driven: &Driven) {
        for handed in driven.take("shop", &many(self.random.usize(1..4)), self.now) {
            let number = self.model.number_of(handed.write());
            assert_eq!(*handed.write(), self.model.tried[number].write, "what is given out is what was written");
            assert_eq!(self.model.lines[&handed.write().key[..]].front(), Some(&number), "out of order");
            assert!(self.under_way.iter().all(|other| other.write().key != handed.write().key), "two at once");
            self.model.tried[number].is_sent = true;
            self.under_way.push(handed);
        }
    }

    fn settle(&mut self) {
        if self.under_way.is_empty() {
            return;
        }
        let handed = self.under_way.swap_remove(self.random.usize(0..self.under_way.len()));
        let number = self.model.number_of(handed.write());
        match self.random.u32(0..8) {
            0 => handed.failed(self.now.saturating_add(Duration::from_secs(1))),
            1 => {
                handed.dead("it does not like it", self.now);
                self.model.settle(number, Fate::Dead);
            }
            2 => drop(handed),
            _ => {
                handed.done();
                self.model.settle(number, Fate::Done);
            }
        }
    }

    fn round(&mut self, driven: &mut Driven) {
        let has_notes = driven.writer.shared.queue.read().notes_len() > 0;
        if driven.writer.round().is_ok() && has_notes {
            self.model.synced();
        }
    }

    fn a_dead_one(&mut self) -> Option<usize> {
        let is_dead = |number: &usize| self.model.tried[*number].fate == Fate::Dead;
        let dead: Vec<usize> = (0..self.model.tried.len()).filter(is_dead).collect();
        (!dead.is_empty()).then(|| dead[self.random.usize(0..dead.len())])
    }

    fn revive(&mut self, driven: &Driven) {
        let Some(number) = self.a_dead_one() else { return };
        let key = self.model.tried[number].write.key.clone();
        // The model knows nothing of what was overtaken, nor of standing behind what is under way.
        if self.under_way.iter().any(|handed| handed.write().key == key) {
            return;
        }
        let seq = self.model.tried[number].seq.expect("it was acknowledged").0;
        let revive = |queue: &mut crate::queue::Queue| queue.revive("shop", seq, Overtaken::Deliver, self.now);
        assert_eq!(driven.writer.shared.settle(revive), Retry::Due);
        self.model.revive(number);
    }

    fn drop_dead(&mut self, driven: &Driven) {
        let Some(number) = self.a_dead_one() else { return };
        let seq = self.model.tried[number].seq.expect("it was acknowledged").0;
        assert!(driven.writer.shared.settle(|queue| queue.drop_dead("shop", seq)));
        self.model.settle(number, Fate::Done);
    }

    fn trouble(&mut self) {
        let mut faults = Faults::default();
        match self.random.u32(0..6) {
            0 => faults.syncs = 1,
            1 => faults.appends = 1,
            2 => faults.dir_syncs = 1,
            3 => faults.room = Some(self.random.u64(0..3000)),
            4 => faults.is_read_only = true,
            _ => {}
        }
        self.files.set_faults(faults);
    }
}

fn crash(seeds: std::ops::Range<u64>) {
    let (mut unknown, mut tried) = (0, 0);
    for seed in seeds.clone() {
        let lived = std::panic::catch_unwind(|| {
            let mut life = Life::new(seed);
            life.live();
            (life.unknown, life.model.tried.len())
        });
        let (its_unknown, its_tried) = lived.unwrap_or_else(|_| panic!("with seed {seed} in {DIR}"));
        (unknown, tried) = (unknown + its_unknown, tried + its_tried);
    }
    let crashes = (seeds.end - seeds.start) * CRASHES as u64;
    eprintln!("{crashes} crashes, {tried} writes tried, {unknown} held of which nobody had been told");
    assert!(unknown > 0, "the double keeps some of what was not synced");
}

#[test]
fn what_was_acknowledged_outlives_a_machine_that_stops_at_any_moment() {
    crash(0..200);
}

#[test]
#[ignore = "takes a minute: 10,000 crashes"]
fn what_was_acknowledged_outlives_ten_thousand_crashes() {
    crash(1_000..3_000);
}
