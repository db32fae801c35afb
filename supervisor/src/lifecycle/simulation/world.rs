//! Everything that there is: the clock, the keeper, the supervisor's fleet, and the way between them.

use std::{collections::BTreeMap, time::Duration};

use etl_shared::WorkerName;
use rand::{SeedableRng, rngs::StdRng};

use super::{
    Log,
    keeper::{Act, Keeper, Nature, between},
    rules::Rules,
};
use crate::{
    clock::BootTime,
    lifecycle::{Crew, Effect, Event, Fleet, Reliefs, RestartPolicy, State, StopSignal, Timing, Wanted, Why},
};

/// Something that will happen.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Happening {
    /// A report of the keeper reaches the supervisor, in the conversation in which it was sent.
    Report(u64, Event),
    /// An order of the supervisor reaches the keeper, likewise.
    Order(u64, Order),
    Process(WorkerName, u64, Act),
    /// Something happens to a worker of this tenant.
    Tenant(i64),
    /// Something happens to everybody.
    Everybody,
    KeeperReturns,
    SupervisorReturns,
    /// They find each other, if both are there.
    Hello(u64),
    /// The supervisor of this life learns which workers there should be.
    ListKnown(u64),
    DependencyReturns,
    Calm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    Spawn,
    Signal(StopSignal),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) worker: WorkerName,
    pub(super) incarnation: u64,
    pub(super) request: Request,
}

/// What should be, whoever knows of it.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) listed: bool,
    pub(super) stopped: bool,
    pub(super) resting: bool,
    pub(super) missing: Option<String>,
    pub(super) timing: Timing,
    pub(super) nature: Nature,
    /// Whoever holds the lease does so until then.
    pub(super) lease_until: BootTime,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct World {
    pub(super) now: BootTime,
    pub(super) seed: u64,
    pub(super) policy: RestartPolicy,
    pub(super) rng: StdRng,
    /// One for each worker, so that no worker's fate depends on another's.
    pub(super) rngs: BTreeMap<WorkerName, StdRng>,
    pub(super) tenant_rngs: BTreeMap<i64, StdRng>,
    pub(super) fleet: Option<Fleet>,
    pub(super) reliefs: Reliefs,
    /// Whom a relief has replaced last in each crew, and the process that left.
    pub(super) replaced: BTreeMap<Crew, (WorkerName, u64)>,
    /// How many conversations there were, and how many lives of the supervisor.
    pub(super) talk: u64,
    pub(super) life: u64,
    pub(super) connected: bool,
    pub(super) settled: bool,
    pub(super) keeper: Option<Keeper>,
    pub(super) dependency: bool,
    pub(super) wishes: BTreeMap<WorkerName, Wish>,
    pub(super) calm: bool,
    /// Reports come late and twice, orders get stuck, ticks are late.
    pub(super) unreliable: bool,
    pub(super) rules: Rules,
    /// Every effect with its time, where somebody wants to look at them.
    pub(super) trace: Option<Vec<(BootTime, Effect)>>,
    pub(super) agenda: BTreeMap<(BootTime, u64), Happening>,
    scheduled: u64,
    pub(super) pids: i32,
    pub(super) lanes: BTreeMap<(WorkerName, bool), BootTime>,
    log: Log,
}

impl World {
    /// Keeper and supervisor are there, the workers are listed and nothing has happened yet.
    pub(super) fn new(seed: u64, policy: RestartPolicy, wishes: BTreeMap<WorkerName, Wish>, log: Log) -> Self {
        let stream = |number: u64| StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(number));
        let number = |worker: &WorkerName| worker.tenant.get().cast_unsigned() * 100 + u64::from(worker.slot.get());
        let tenants = wishes.keys().map(|worker| worker.tenant.get());
        let mut world = Self {
            now: BootTime(1_000_000_000),
            seed,
            rng: stream(0),
            rngs: wishes.keys().map(|worker| (worker.clone(), stream(number(worker)))).collect(),
            tenant_rngs: tenants.map(|tenant| (tenant, stream(tenant.cast_unsigned() * 100))).collect(),
            fleet: None,
            reliefs: Reliefs::default(),
            replaced: BTreeMap::new(),
            talk: 0,
            life: 0,
            connected: false,
            settled: false,
            keeper: Some(Keeper::default()),
            dependency: true,
            wishes,
            calm: false,
            unreliable: false,
            rules: Rules::new(policy.clone()),
            trace: None,
            policy,
            agenda: BTreeMap::new(),
            scheduled: 0,
            pids: 1_000,
            lanes: BTreeMap::new(),
            log,
        };
        world.supervisor_starts();
        world
    }

    pub(super) fn note(&self, line: impl FnOnce() -> String) {
        if let Some(log) = &self.log {
            log.borrow_mut().push(format!(
                "{:>12.3} {}",
                self.now.since(BootTime(1_000_000_000)).as_secs_f64(),
                line()
            ));
        }
    }

    pub(super) fn after(&mut self, delay: Duration, happening: Happening) {
        self.scheduled += 1;
        self.agenda.insert((self.now + delay, self.scheduled), happening);
    }

    // ---- time -----------------------------------------------------------------------------------------------------

    pub(super) fn run_until_calm(&mut self) {
        while !self.calm {
            self.step(BootTime(u64::MAX));
        }
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    /// The next thing happens, unless it is later than `end`.
    pub(super) fn step(&mut self, end: BootTime) -> bool {
        let late = if self.unreliable { between(&mut self.rng, 0, 20) } else { Duration::ZERO };
        let tick = self.fleet.as_ref().and_then(Fleet::next_deadline).map(|deadline| self.now.max(deadline + late));
        let next = self.agenda.first_key_value().map(|((at, _), _)| *at);
        let due = self.reliefs.next_deadline().map(|deadline| self.now.max(deadline));
        if due.is_some_and(|due| due <= end && [tick, next].into_iter().flatten().all(|other| due < other)) {
            self.now = due.expect("just looked at");
        } else if tick.is_some_and(|tick| next.is_none_or(|next| tick < next) && tick <= end) {
            self.now = tick.expect("just looked at");
            self.tell(Event::Tick);
            let next = self.fleet.as_ref().and_then(Fleet::next_deadline);
            assert!(next.is_none_or(|next| next > self.now), "after a tick, {next:?} is a deadline of the past");
        } else if next.is_some_and(|next| next <= end) {
            let ((at, _), happening) = self.agenda.pop_first().expect("just looked at");
            self.now = at;
            self.happen(happening);
        } else {
            return false;
        }
        self.advance_reliefs();
        true
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Report(talk, event) if talk == self.talk && self.connected => self.take_report(event),
            Happening::Order(talk, order) if talk == self.talk && self.connected => self.keeper_takes(&order),
            Happening::Process(worker, incarnation, act) => self.process_acts(&worker, incarnation, act),
            Happening::Tenant(tenant) => self.trouble_tenant(tenant),
            Happening::Everybody => self.trouble_everybody(),
            Happening::KeeperReturns => {
                self.note(|| "the keeper is back".to_owned());
                self.keeper.get_or_insert_default();
                self.say_hello_soon();
            }
            Happening::SupervisorReturns => self.supervisor_starts(),
            Happening::Hello(talk) if talk == self.talk && !self.connected => self.hello(),
            Happening::ListKnown(life) if life == self.life && self.fleet.is_some() => self.list_is_known(),
            // Whoever should have heard it is not there any longer, or knows already.
            Happening::Report(..) | Happening::Order(..) | Happening::Hello(_) | Happening::ListKnown(_) => {}
            Happening::DependencyReturns => self.dependency_returns(),
            Happening::Calm => self.calm_down(),
        }
    }

    // ---- the supervisor -------------------------------------------------------------------------------------------

    fn supervisor_starts(&mut self) {
        self.note(|| "the supervisor starts".to_owned());
        self.life += 1;
        self.fleet = Some(Fleet::new(self.policy.clone(), self.seed));
        self.reliefs = Reliefs::new(self.policy.max_concurrent_starts);
        self.replaced.clear();
        self.say_hello_soon();
        let wait = if self.unreliable { between(&mut self.rng, 1, 90_000) } else { Duration::from_millis(10) };
        self.after(wait, Happening::ListKnown(self.life));
    }

    pub(super) fn supervisor_dies(&mut self) {
        self.note(|| "the supervisor dies".to_owned());
        self.hang_up();
        self.fleet = None;
        self.reliefs = Reliefs::default();
        self.settled = false;
        self.rules.supervisor_died();
        let away = between(&mut self.rng, 500, 20_000);
        self.after(away, Happening::SupervisorReturns);
    }

    fn list_is_known(&mut self) {
        self.note(|| "the list is known".to_owned());
        self.settled = true;
        for worker in self.wishes.keys().cloned().collect::<Vec<_>>() {
            self.say_wish(&worker);
        }
        self.remove_what_nobody_wants();
    }

    /// Workers that only the keeper knows of, once it and the list have spoken.
    pub(super) fn remove_what_nobody_wants(&mut self) {
        let fleet = self.fleet.as_ref().expect("it has just learned something");
        let nobodys: Vec<WorkerName> = fleet
            .slots()
            .filter(|(_, slot)| slot.wanted() == Wanted::Undecided)
            .map(|(worker, _)| worker.clone())
            .collect();
        for worker in nobodys {
            self.tell(Event::Remove { worker, why: Why::NotListed });
        }
    }

    /// Tells the fleet what is wished of a worker, if it can know.
    pub(super) fn say_wish(&mut self, worker: &WorkerName) {
        let Wish { listed, stopped, resting, missing, timing, .. } = self.wishes[worker].clone();
        let worker = worker.clone();
        if !self.settled {
            return;
        }
        if !listed {
            self.tell(Event::Remove { worker, why: Why::NotListed });
        } else if stopped {
            self.tell(Event::Unwant { worker, why: Why::Operator });
        } else {
            self.tell(Event::Want { worker: worker.clone(), timing, blocked: missing });
            if resting {
                self.tell(Event::Rest { worker });
            }
        }
    }

    /// Hands the fleet an event, judges what it makes of it, and carries it out.
    #[expect(clippy::needless_pass_by_value, reason = "as the fleet takes it")]
    pub(super) fn tell(&mut self, event: Event) {
        let Some(fleet) = &mut self.fleet else { return };
        self.rules.hears(&event, self.now, fleet);
        let effects = fleet.handle(event.clone(), self.now);
        if let Some(log) = &self.log {
            let now = self.now.since(BootTime(1_000_000_000)).as_secs_f64();
            log.borrow_mut().push(format!("{now:>12.3} {event:?}\n{:>16} {effects:?}", "→"));
        }
        assert!(event != Event::Tick || !effects.is_empty(), "a tick was due and nothing came of it");
        self.rules.judges(&event, &effects, self.now, fleet);
        if let Some(trace) = &mut self.trace {
            trace.extend(effects.iter().map(|effect| (self.now, effect.clone())));
        }
        for effect in effects {
            let (worker, incarnation, request) = match effect {
                Effect::Spawn { worker, incarnation } => (worker, incarnation, Request::Spawn),
                Effect::Stop { worker, incarnation, signal } => (worker, incarnation, Request::Signal(signal)),
                Effect::Changed { .. } | Effect::Removed { .. } => continue,
            };
            if self.connected {
                let delay = self.delay(&worker, true);
                let order = Order { worker, incarnation, request };
                self.after(delay, Happening::Order(self.talk, order));
            }
        }
    }

    // ---- the end --------------------------------------------------------------------------------------------------

    pub(super) fn check_that_everybody_is_where_it_is_wanted(&self) {
        let fleet = self.fleet.as_ref().expect("the supervisor is back");
        let keeper = self.keeper.as_ref().expect("the keeper is back");
        assert!(self.connected && self.settled);
        for (worker, wish) in &self.wishes {
            let state = fleet.slot(worker).map(|slot| slot.state().clone());
            let lives = keeper.processes.get(worker).map(|process| process.incarnation);
            match (wish.listed, wish.stopped, wish.resting) {
                (false, _, _) => assert_eq!((&state, lives), (&None, None), "{worker} is not listed"),
                (true, true, _) => {
                    assert_eq!((&state, lives), (&Some(State::Stopped), None), "{worker} was stopped");
                }
                (true, false, true) => {
                    assert!(matches!(state, Some(State::Idle { .. })), "{worker} rests, and is {state:?}");
                    assert_eq!(lives, None, "{worker} rests");
                }
                (true, false, false) => {
                    assert!(matches!(state, Some(State::Running { .. })), "{worker} is wanted, and is {state:?}");
                    assert_eq!(state.and_then(|state| state.incarnation()), lives, "{worker} is another process");
                }
            }
        }
        assert_eq!(fleet.slots().count(), self.wishes.values().filter(|wish| wish.listed).count(), "forgotten workers");
        assert!(self.reliefs.is_idle(), "a relief is not over: {:?}", self.reliefs);
        assert_eq!(self.agenda, BTreeMap::new(), "something is still to happen");
        assert_eq!(fleet.next_deadline(), None, "something is still waited for");
    }
}
