//! The rotation of one tenant's secrets, as a pure function of what has happened and of the processes that there are.
//!
//! The next generation is made beside the current one, the tenant's workers move over with one that stands in ready first, and
//! only when no process has the old secrets any longer are they deleted. Where that cannot be done it goes the same way back.

use etl_shared::{TenantId, WorkerName};

use super::{AccountOrder, Unsettled};
use crate::lifecycle::{Ending, Purpose};

/// How often workers are asked to move: something else may come first each time.
const TRIES: u32 = 5;

/// A worker of the tenant that has a process, or for which one has been ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Which worker.
    pub worker: WorkerName,
    /// The generation of its secrets; `None`: it was started by an earlier life of the supervisor.
    pub generation: Option<u32>,
    /// It should run, rather than being about to leave.
    pub up: bool,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Tell those who look after the accounts.
    Order(AccountOrder),
    /// Replace these workers, each while another one stands in for it, with this generation.
    Relieve(Vec<WorkerName>, u32),
    /// Replace these workers at once.
    Replace(Vec<WorkerName>),
    /// It is over: the generation in force from now on, or why it is still the old one.
    Over(Result<u32, String>),
}

/// How far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    Preparing,
    Moving {
        to: u32,
        tries: u32,
        /// A worker has become ready with the new secrets.
        proven: bool,
        failed: Option<String>,
    },
    Adopting {
        to: u32,
    },
    Returning {
        from: u32,
        why: String,
        relieved: bool,
        replaced: bool,
    },
    Discarding {
        why: String,
    },
}

/// One rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    tenant: TenantId,
    current: u32,
    stage: Stage,
}

impl Rotation {
    /// Begins.
    pub const fn begin(tenant: TenantId, current: u32) -> (Self, Act) {
        (Self { tenant, current, stage: Stage::Preparing }, Act::Order(AccountOrder::Prepare { tenant }))
    }

    /// Goes on where an earlier life of the supervisor left it.
    pub const fn resume(tenant: TenantId, current: u32, next: u32) -> Self {
        Self { tenant, current, stage: Stage::moving(next) }
    }

    /// In one word.
    pub const fn word(&self) -> &'static str {
        match self.stage {
            Stage::Preparing => "preparing",
            Stage::Moving { .. } => "moving",
            Stage::Adopting { .. } => "adopting",
            Stage::Returning { .. } => "returning",
            Stage::Discarding { .. } => "discarding",
        }
    }

    /// The generation that a new process gets, given what a relief wants it for.
    pub const fn generation_for(&self, purpose: Option<Purpose>) -> u32 {
        match (&self.stage, purpose) {
            (Stage::Moving { to, .. }, Some(Purpose::Generation(wanted))) if wanted == *to => *to,
            (Stage::Moving { to, proven: true, failed: None, .. } | Stage::Adopting { to }, _) => *to,
            _ => self.current,
        }
    }

    /// The next generation is there, or is not.
    pub fn prepared(&mut self, outcome: Result<u32, String>) -> Vec<Act> {
        if self.stage != Stage::Preparing {
            return Vec::new();
        }
        match outcome {
            Ok(next) => {
                self.stage = Stage::moving(next);
                Vec::new()
            }
            Err(why) => vec![Act::Over(Err(why))],
        }
    }

    /// A relief of one of the tenant's crews, for this purpose, is over.
    pub fn relieved(&mut self, purpose: Purpose, ending: &Ending) {
        if let Stage::Moving { to, proven, failed, .. } = &mut self.stage
            && purpose == Purpose::Generation(*to)
        {
            match ending {
                Ending::Done => *proven = true,
                Ending::Failed(why) => *failed = Some(why.clone()),
                Ending::Abandoned => {}
            }
        }
    }

    /// Looks at the tenant's processes. `busy`: a relief of theirs is under way.
    pub fn look(&mut self, processes: &[Seen], busy: bool) -> Vec<Act> {
        if busy {
            return Vec::new();
        }
        let tenant = self.tenant;
        match &mut self.stage {
            Stage::Moving { to, tries, failed, .. } => {
                let to = *to;
                let old = processes.iter().filter(|seen| seen.generation != Some(to));
                let (staying, leaving): (Vec<&Seen>, Vec<&Seen>) = old.partition(|seen| seen.up);
                let staying: Vec<WorkerName> = staying.into_iter().map(|seen| seen.worker.clone()).collect();
                if let Some(why) = failed.take() {
                    self.stage = Stage::Returning { from: to, why, relieved: false, replaced: false };
                    return self.look(processes, busy);
                }
                if staying.is_empty() {
                    // What is about to leave may finish first.
                    if !leaving.is_empty() {
                        return Vec::new();
                    }
                    self.stage = Stage::Adopting { to };
                    return vec![Act::Order(AccountOrder::Adopt { tenant, generation: to })];
                }
                *tries += 1;
                if *tries > TRIES {
                    let why = "its workers could not move over: something else came first each time".to_owned();
                    self.stage = Stage::Returning { from: to, why, relieved: false, replaced: false };
                    return self.look(processes, busy);
                }
                vec![Act::Relieve(staying, to)]
            }
            Stage::Returning { from, why, relieved, replaced } => {
                // One of which nothing is known may have been moved by an earlier life.
                let moved: Vec<&Seen> = processes.iter().filter(|seen| seen.generation != Some(self.current)).collect();
                let staying: Vec<WorkerName> =
                    moved.iter().filter(|seen| seen.up).map(|seen| seen.worker.clone()).collect();
                if moved.is_empty() {
                    let generation = *from;
                    self.stage = Stage::Discarding { why: std::mem::take(why) };
                    vec![Act::Order(AccountOrder::Discard { tenant, generation })]
                } else if staying.is_empty() || *replaced {
                    Vec::new()
                } else if *relieved {
                    *replaced = true;
                    vec![Act::Replace(staying)]
                } else {
                    *relieved = true;
                    vec![Act::Relieve(staying, self.current)]
                }
            }
            Stage::Preparing | Stage::Adopting { .. } | Stage::Discarding { .. } => Vec::new(),
        }
    }

    /// The accounts are in order again, or not yet, or never will be as they were to be.
    pub fn settled(&mut self, outcome: &Result<u32, Unsettled>) -> Vec<Act> {
        match (&mut self.stage, outcome) {
            // Somebody else has decided otherwise; which accounts there are now is told when they have been looked at.
            (Stage::Adopting { .. } | Stage::Discarding { .. }, Err(Unsettled::Ever(why))) => {
                vec![Act::Order(AccountOrder::Repair { tenant: self.tenant }), Act::Over(Err(why.clone()))]
            }
            (Stage::Adopting { to }, Ok(generation)) if generation == to => vec![Act::Over(Ok(*to))],
            (Stage::Discarding { why }, Ok(_)) => vec![Act::Over(Err(std::mem::take(why)))],
            // It is tried again by whoever looks after the accounts.
            _ => Vec::new(),
        }
    }
}

impl Stage {
    const fn moving(to: u32) -> Self {
        Self::Moving { to, tries: 0, proven: false, failed: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> TenantId {
        TenantId::try_from(7).unwrap()
    }

    fn worker() -> WorkerName {
        "transform-7-1".parse().unwrap()
    }

    fn seen(generation: Option<u32>, up: bool) -> Seen {
        Seen { worker: worker(), generation, up }
    }

    /// The second generation is there.
    fn prepared() -> Rotation {
        let (mut rotation, first) = Rotation::begin(tenant(), 1);
        assert_eq!(first, Act::Order(AccountOrder::Prepare { tenant: tenant() }));
        assert_eq!(rotation.prepared(Ok(2)), []);
        rotation
    }

    const NEXT: Purpose = Purpose::Generation(2);

    #[test]
    fn the_old_secrets_go_only_when_no_process_has_them() {
        let mut rotation = prepared();
        assert_eq!(rotation.look(&[seen(Some(1), true)], false), [Act::Relieve(vec![worker()], 2)]);
        assert_eq!(rotation.generation_for(Some(NEXT)), 2);
        assert_eq!(rotation.generation_for(None), 1, "nothing is proven yet");
        assert_eq!(rotation.look(&[seen(Some(1), true)], true), [], "its relief is under way");
        rotation.relieved(NEXT, &Ending::Done);
        assert_eq!(rotation.generation_for(None), 2);
        assert_eq!(rotation.look(&[seen(Some(2), true), seen(Some(1), false)], false), [], "one of them still leaves");
        let adopt = Act::Order(AccountOrder::Adopt { tenant: tenant(), generation: 2 });
        assert_eq!(rotation.look(&[seen(Some(2), true)], false), [adopt]);
        assert_eq!(rotation.settled(&Err(Unsettled::Yet("the broker is away".to_owned()))), []);
        assert_eq!(rotation.settled(&Ok(2)), [Act::Over(Ok(2))]);
    }

    #[test]
    fn where_the_next_accounts_are_gone_it_is_over_and_somebody_looks_which_there_are() {
        let mut rotation = prepared();
        let adopt = Act::Order(AccountOrder::Adopt { tenant: tenant(), generation: 2 });
        assert_eq!(rotation.look(&[seen(Some(2), true)], false), [adopt]);
        let repair = Act::Order(AccountOrder::Repair { tenant: tenant() });
        let over = Act::Over(Err("gone".to_owned()));
        assert_eq!(rotation.settled(&Err(Unsettled::Ever("gone".to_owned()))), [repair, over]);
    }

    #[test]
    fn a_tenant_without_processes_has_nobody_who_must_move() {
        let adopt = Act::Order(AccountOrder::Adopt { tenant: tenant(), generation: 2 });
        assert_eq!(prepared().look(&[], false), [adopt]);
    }

    #[test]
    fn what_cannot_be_prepared_changes_nothing() {
        let (mut rotation, _) = Rotation::begin(tenant(), 1);
        assert_eq!(rotation.look(&[seen(Some(1), true)], false), []);
        assert_eq!(rotation.prepared(Err("no".to_owned())), [Act::Over(Err("no".to_owned()))]);
    }

    #[test]
    fn after_a_failure_those_that_have_moved_go_back_before_the_new_secrets_are_deleted() {
        let mut rotation = prepared();
        rotation.relieved(NEXT, &Ending::Done);
        rotation.relieved(NEXT, &Ending::Failed("not ready".to_owned()));
        let moved = [seen(Some(2), true)];
        assert_eq!(rotation.look(&moved, false), [Act::Relieve(vec![worker()], 1)]);
        assert_eq!(rotation.generation_for(Some(Purpose::Generation(1))), 1);
        assert_eq!(rotation.look(&moved, false), [Act::Replace(vec![worker()])], "nobody could stand in");
        assert_eq!(rotation.look(&moved, false), [], "it is leaving");
        let discard = Act::Order(AccountOrder::Discard { tenant: tenant(), generation: 2 });
        assert_eq!(rotation.look(&[seen(Some(1), true)], false), [discard]);
        assert_eq!(rotation.settled(&Ok(1)), [Act::Over(Err("not ready".to_owned()))]);
    }

    #[test]
    fn an_earlier_life_s_rotation_goes_on_with_processes_of_which_nothing_is_known() {
        let mut rotation = Rotation::resume(tenant(), 1, 2);
        assert_eq!(rotation.look(&[seen(None, true)], false), [Act::Relieve(vec![worker()], 2)]);
    }

    #[test]
    fn secrets_that_an_earlier_life_may_have_handed_over_are_not_deleted_under_their_process() {
        let mut rotation = Rotation::resume(tenant(), 1, 2);
        let unknown = [seen(None, true)];
        assert_eq!(rotation.look(&unknown, false), [Act::Relieve(vec![worker()], 2)]);
        rotation.relieved(NEXT, &Ending::Failed("not ready".to_owned()));
        assert_eq!(rotation.look(&unknown, false), [Act::Relieve(vec![worker()], 1)]);
        assert_eq!(rotation.look(&[seen(None, false)], false), [], "it still leaves");
        let discard = Act::Order(AccountOrder::Discard { tenant: tenant(), generation: 2 });
        assert_eq!(rotation.look(&[seen(Some(1), true)], false), [discard]);
    }

    #[test]
    fn something_else_may_come_first_but_not_for_ever() {
        let mut rotation = prepared();
        for _ in 0..TRIES {
            assert_eq!(rotation.look(&[seen(Some(1), true)], false), [Act::Relieve(vec![worker()], 2)]);
            rotation.relieved(NEXT, &Ending::Abandoned);
        }
        let discard = Act::Order(AccountOrder::Discard { tenant: tenant(), generation: 2 });
        assert_eq!(rotation.look(&[seen(Some(1), true)], false), [discard]);
    }
}
