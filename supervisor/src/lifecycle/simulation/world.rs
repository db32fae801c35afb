//! Everything that there is: the clock, the keeper, the supervisor's fleet, and the way between them.

use std::{collections::BTreeMap, time::Duration};

use etl_shared::WorkerName;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    Log,
    keeper::{self, Act, Keeper, Nature, Process, between},
    rules::Rules,
};
use crate::{
    clock::BootTime,
    lifecycle::{
        Effect, Event, Exit, Fleet, Found, RestartPolicy, SpawnTrouble, State, StopSignal, Timing, Wanted, Why,
    },
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
    worker: WorkerName,
    incarnation: u64,
    request: Request,
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

pub(super) struct World {
    pub(super) now: BootTime,
    pub(super) seed: u64,
    pub(super) policy: RestartPolicy,
    pub(super) rng: StdRng,
    /// One for each worker, so that no worker's fate depends on another's.
    pub(super) rngs: BTreeMap<WorkerName, StdRng>,
    pub(super) tenant_rngs: BTreeMap<i64, StdRng>,
    pub(super) fleet: Option<Fleet>,
    /// How many conversations there were, and how many lives of the supervisor.
    talk: u64,
    life: u64,
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
    agenda: BTreeMap<(BootTime, u64), Happening>,
    scheduled: u64,
    pids: i32,
    lanes: BTreeMap<(WorkerName, bool), BootTime>,
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
        if tick.is_some_and(|tick| next.is_none_or(|next| tick < next) && tick <= end) {
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
        true
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Report(talk, event) if talk == self.talk && self.connected => self.take_report(event),
            Happening::Order(talk, order) if talk == self.talk && self.connected => self.keeper_takes(&order),
            // Whoever should have heard it is not there any longer.
            Happening::Report(..) | Happening::Order(..) => {}
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
            Happening::Hello(_) => {}
            Happening::ListKnown(life) if life == self.life && self.fleet.is_some() => self.list_is_known(),
            Happening::ListKnown(_) => {}
            Happening::DependencyReturns => self.dependency_returns(),
            Happening::Calm => self.calm_down(),
        }
    }

    // ---- the supervisor -------------------------------------------------------------------------------------------

    fn supervisor_starts(&mut self) {
        self.note(|| "the supervisor starts".to_owned());
        self.life += 1;
        self.fleet = Some(Fleet::new(self.policy.clone(), self.seed));
        self.say_hello_soon();
        let wait = if self.unreliable { between(&mut self.rng, 1, 90_000) } else { Duration::from_millis(10) };
        self.after(wait, Happening::ListKnown(self.life));
    }

    pub(super) fn supervisor_dies(&mut self) {
        self.note(|| "the supervisor dies".to_owned());
        self.hang_up();
        self.fleet = None;
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
    fn remove_what_nobody_wants(&mut self) {
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
    pub(super) fn tell(&mut self, event: Event) {
        let Some(fleet) = &mut self.fleet else { return };
        self.rules.hears(&event, self.now, fleet);
        let due = event == Event::Tick;
        let effects = fleet.handle(event.clone(), self.now);
        if let Some(log) = &self.log {
            let now = self.now.since(BootTime(1_000_000_000)).as_secs_f64();
            log.borrow_mut().push(format!("{now:>12.3} {event:?}\n{:>16} {effects:?}", "→"));
        }
        assert!(!due || !effects.is_empty(), "a tick was due and nothing came of it");
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

    // ---- the way between them -------------------------------------------------------------------------------------

    /// How long something takes from one to the other: never overtaking what was said of the same worker before.
    fn delay(&mut self, worker: &WorkerName, to_keeper: bool) -> Duration {
        let unreliable = self.unreliable;
        let rng = self.rngs.get_mut(worker).expect("every worker has one");
        let slow = unreliable && rng.random_bool(0.04);
        let arrival = self.now + if slow { between(rng, 20, 5_000) } else { between(rng, 1, 20) };
        let lane = self.lanes.entry((worker.clone(), to_keeper)).or_default();
        *lane = arrival.max(*lane + Duration::from_micros(1));
        lane.since(self.now)
    }

    fn report(&mut self, worker: &WorkerName, event: Event) {
        if !self.connected {
            return;
        }
        let delay = self.delay(worker, false);
        let rng = self.rngs.get_mut(worker).expect("every worker has one");
        if self.unreliable && rng.random_bool(0.05) {
            let again = delay + between(rng, 1, 10_000);
            self.after(again, Happening::Report(self.talk, event.clone()));
        }
        self.after(delay, Happening::Report(self.talk, event));
    }

    fn take_report(&mut self, event: Event) {
        if let (Event::Exited { worker, incarnation, .. }, Some(keeper)) = (&event, &mut self.keeper) {
            // Some exits are never noted, and are said again after the next hello.
            if !self.unreliable || self.rng.random_bool(0.8) {
                keeper.retained.retain(|(name, number, _)| (name, number) != (worker, incarnation));
            }
        }
        self.tell(event);
    }

    fn say_hello_soon(&mut self) {
        let delay = between(&mut self.rng, 1, 100);
        self.after(delay, Happening::Hello(self.talk));
    }

    fn hello(&mut self) {
        let (Some(keeper), true) = (&mut self.keeper, self.fleet.is_some()) else { return };
        let lives: Vec<_> =
            keeper.processes.iter().map(|(worker, process)| (worker.clone(), process.clone())).collect();
        let exits = keeper.retained.clone();
        if self.rng.random_bool(0.8) {
            keeper.retained.clear();
        }
        self.connected = true;
        for (worker, Process { incarnation, pid, started_at, ready, .. }) in lives {
            self.tell(Event::Found(worker, Found { incarnation, pid, started_at, ready }));
        }
        for (worker, incarnation, exit) in exits {
            self.tell(Event::Exited { worker, incarnation, exit });
        }
        self.tell(Event::KeeperUp);
        if self.settled {
            self.remove_what_nobody_wants();
        }
    }

    /// The conversation ends. The keeper still reads some of what was on its way to it; nothing else arrives.
    fn hang_up(&mut self) {
        let talk = self.talk;
        let orders: Vec<_> = self.agenda.values().cloned().collect();
        let orders = orders.into_iter().filter_map(|happening| match happening {
            Happening::Order(sent, order) if sent == talk => Some(order),
            _ => None,
        });
        let read: usize = self.rng.random_range(0..4);
        self.talk += 1;
        self.connected = false;
        for order in orders.take(read) {
            self.keeper_takes(&order);
        }
    }

    /// Only the socket breaks; the keeper and its processes live on.
    pub(super) fn socket_breaks(&mut self) {
        if self.connected {
            self.note(|| "the socket breaks".to_owned());
            self.hang_up();
            self.tell(Event::KeeperLost);
            self.say_hello_soon();
        }
    }

    // ---- the keeper and its processes -----------------------------------------------------------------------------

    /// The keeper dies and takes every process with it; some leases stay held for a while.
    pub(super) fn keeper_dies(&mut self) {
        let Some(keeper) = self.keeper.take() else { return };
        self.note(|| "the keeper dies".to_owned());
        self.talk += 1;
        for worker in keeper.processes.into_keys() {
            if self.rng.random_bool(0.3) {
                let held = between(&mut self.rng, 10, 30_000);
                self.wishes.get_mut(&worker).expect("it had a process").lease_until = self.now + held;
            }
        }
        if self.connected {
            self.connected = false;
            self.tell(Event::KeeperLost);
        }
        let away = between(&mut self.rng, 100, 20_000);
        self.after(away, Happening::KeeperReturns);
    }

    fn keeper_takes(&mut self, order: &Order) {
        let Order { worker, incarnation, request } = order;
        let (incarnation, rng) = (*incarnation, self.rngs.get_mut(worker).expect("every worker has one"));
        let Some(keeper) = &mut self.keeper else { return };
        let wish = &self.wishes[worker];
        let signal = match request {
            Request::Signal(signal) => *signal,
            Request::Spawn => {
                let living = keeper.processes.get(worker);
                assert!(living.is_none(), "a second process is ordered for {worker}, whose first lives: {living:?}");
                let trouble = if wish.lease_until > self.now {
                    Some(SpawnTrouble::LeaseHeld { holder: "somebody".to_owned() })
                } else if wish.nature == Nature::CannotBeStarted {
                    Some(SpawnTrouble::Failed { detail: "no such program".to_owned() })
                } else {
                    None
                };
                if let Some(trouble) = trouble {
                    return self.report(worker, Event::SpawnFailed { worker: worker.clone(), incarnation, trouble });
                }
                self.pids += 1;
                let (pid, started_at, nature) = (self.pids, self.now, wish.nature);
                let process = Process { incarnation, pid, started_at, ready: false, nature };
                keeper.processes.insert(worker.clone(), process);
                let acts = keeper::after_start(nature, self.dependency, rng);
                for (delay, act) in acts {
                    self.after(delay, Happening::Process(worker.clone(), incarnation, act));
                }
                return self.report(worker, Event::Spawned { worker: worker.clone(), incarnation, pid, started_at });
            }
        };
        let Some(process) = keeper.processes.get(worker).filter(|process| process.incarnation == incarnation) else {
            return;
        };
        let act = match signal {
            StopSignal::Term => keeper::after_term(process.nature, rng),
            StopSignal::Kill => keeper::after_kill(rng),
        };
        if let Some((delay, act)) = act {
            self.after(delay, Happening::Process(worker.clone(), incarnation, act));
        }
    }

    pub(super) fn process_acts(&mut self, worker: &WorkerName, incarnation: u64, act: Act) {
        let Some(keeper) = &mut self.keeper else { return };
        let Some(process) = keeper.processes.get_mut(worker).filter(|process| process.incarnation == incarnation)
        else {
            return;
        };
        let event = match act {
            Act::Ready => {
                process.ready = true;
                Event::Ready { worker: worker.clone(), incarnation }
            }
            Act::Exit(exit) => {
                keeper.processes.remove(worker);
                keeper.retained.push((worker.clone(), incarnation, exit));
                Event::Exited { worker: worker.clone(), incarnation, exit }
            }
        };
        self.report(worker, event);
    }

    /// Somebody with a shell ends it.
    pub(super) fn process_is_shot(&mut self, worker: &WorkerName) {
        let Some(process) = self.keeper.as_ref().and_then(|keeper| keeper.processes.get(worker)) else { return };
        self.process_acts(worker, process.incarnation, Act::Exit(Exit::Signal(9)));
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
        assert_eq!(self.agenda, BTreeMap::new(), "something is still to happen");
        assert_eq!(fleet.next_deadline(), None, "something is still waited for");
    }
}
