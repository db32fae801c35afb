//! Reliefs in the middle of everything else, and what must hold of them: nobody is replaced unless somebody stands in, and
//! nobody stands in for ever.

use std::collections::BTreeMap;

use etl_shared::WorkerName;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    keeper::Nature,
    world::{Wish, World},
};
use crate::{
    clock::BootTime,
    lifecycle::{Crew, Ending, Event, Fleet, Purpose, Slot, State, Step, StopCause, Wanted},
};

impl World {
    /// Somebody asks for one worker, or for a whole crew, of one generation or only fresh.
    pub(super) fn ask_relief(&mut self, worker: &WorkerName, rng: &mut StdRng) {
        let all = self.wishes.iter().filter(|(name, wish)| wish.listed && Crew::of(name) == Crew::of(worker));
        let all: Vec<WorkerName> = all.map(|(name, _)| name.clone()).collect();
        let chosen = if rng.random_bool(0.5) { all } else { vec![worker.clone()] };
        let purpose = if rng.random_bool(0.5) { Purpose::Fresh } else { Purpose::Generation(rng.random_range(2..4)) };
        self.note(|| format!("a relief of {chosen:?}, {purpose:?}"));
        self.reliefs.ask(chosen, StopCause::Recycle, purpose);
    }

    /// Takes every relief as far as it goes.
    pub(super) fn advance_reliefs(&mut self) {
        while let Some(fleet) = &self.fleet {
            let steps = self.reliefs.advance(fleet, self.now);
            if steps.is_empty() {
                break;
            }
            self.take_steps(steps);
        }
        let next = self.reliefs.next_deadline();
        assert!(next.is_none_or(|next| next > self.now), "{next:?} is a deadline of the past");
        if let Some(fleet) = &self.fleet {
            self.stand_ins_are_few(fleet);
        }
    }

    pub(super) fn abandon_reliefs(&mut self, concerns: impl Fn(&Crew) -> bool) {
        let steps = self.reliefs.abandon(concerns);
        self.take_steps(steps);
    }

    fn take_steps(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Tell(event) => {
                    if let Event::Want { worker, timing, .. } = &event {
                        self.make_room_for(worker, *timing);
                    }
                    self.judge_relief(&event);
                    self.tell(event);
                }
                Step::Over(outcome) => {
                    self.note(|| format!("a relief is over: {outcome:?}"));
                    let replaced = self.replaced.remove(&outcome.crew);
                    if let (Ending::Done, Some((worker, old))) = (&outcome.ending, replaced) {
                        self.assert_renewed(&worker, old);
                    }
                }
            }
        }
    }

    /// The world has a place for a stand-in that nobody has listed.
    fn make_room_for(&mut self, worker: &WorkerName, timing: crate::lifecycle::Timing) {
        let number = worker.tenant.get().cast_unsigned() * 1_000 + u64::from(worker.slot.get());
        let rng = StdRng::seed_from_u64(self.seed.wrapping_mul(1_000_003).wrapping_add(number));
        let rng = self.rngs.entry(worker.clone()).or_insert(rng);
        let nature = if self.calm { Nature::Healthy } else { Nature::any(rng) };
        let missing = None;
        let wish =
            Wish { listed: false, stopped: false, resting: false, missing, timing, nature, lease_until: BootTime(0) };
        self.wishes.entry(worker.clone()).or_insert(wish).timing = timing;
    }

    fn judge_relief(&mut self, event: &Event) {
        let Event::Replace { worker, .. } = event else { return };
        let fleet = self.fleet.as_ref().expect("it has just been looked at");
        let (crew, old) = (Crew::of(worker), incarnation(fleet, worker));
        let stands_in = |(name, slot): (&WorkerName, &Slot)| {
            !self.wishes[name].listed && matches!(slot.state(), State::Running { .. })
        };
        assert!(
            fleet.crew(&crew.queue_type, crew.tenant).any(stands_in),
            "{worker} is replaced and nobody stands in for it"
        );
        if let Some((before, old)) = self.replaced.insert(crew, (worker.clone(), old)) {
            self.assert_renewed(&before, old);
        }
    }

    /// Its new process is ready, or it is somebody else's decision that it is not.
    fn assert_renewed(&self, worker: &WorkerName, old: u64) {
        let Some(slot) = self.fleet.as_ref().and_then(|fleet| fleet.slot(worker)) else { return };
        let renewed = matches!(slot.state(), State::Running { incarnation, .. } if *incarnation > old);
        assert!(renewed || slot.wanted() != Wanted::Up, "{worker} counts as replaced, and is {:?}", slot.state());
    }

    fn stand_ins_are_few(&self, fleet: &Fleet) {
        let mut crews: BTreeMap<Crew, usize> = BTreeMap::new();
        for (worker, slot) in fleet.slots() {
            if slot.wanted() == Wanted::Up && !self.wishes[worker].listed {
                *crews.entry(Crew::of(worker)).or_default() += 1;
            }
        }
        assert!(!self.settled || crews.values().all(|count| *count <= 1), "a crew has several stand-ins: {crews:?}");
    }
}

fn incarnation(fleet: &Fleet, worker: &WorkerName) -> u64 {
    fleet.slot(worker).map_or(0, Slot::incarnation)
}
