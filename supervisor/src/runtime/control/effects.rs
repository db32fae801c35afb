//! Carries out what the fleet orders.

use etl_shared::{
    Verdict, WorkerName,
    api::{EventKind, WorkerState},
    credentials::handover_without_credentials,
};
use nix::libc;

use super::Control;
use crate::{
    clock::BootTime,
    history::Happening,
    keeper::{
        self,
        protocol::{Request, Scope},
    },
    lifecycle::{Death, Effect, Event, SpawnTrouble, StopSignal},
    runtime::reason::reason,
};

impl Control {
    pub(super) fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Spawn { worker, incarnation } => {
                self.count_start(&worker);
                let suspicions = self.suspicions_for(&worker);
                self.forgiveness.tells(&worker, incarnation, &suspicions);
                let document = match self.credentials_for(&worker, incarnation) {
                    Ok(None) if suspicions.is_empty() => None,
                    Ok(None) => Some(handover_without_credentials(suspicions)),
                    Ok(Some(handover)) => Some(handover.to_handover(suspicions)),
                    Err(why) => {
                        let trouble = SpawnTrouble::Failed { detail: why.to_owned() };
                        return self.happened(Event::SpawnFailed { worker, incarnation, trouble });
                    }
                };
                match document.as_ref().map(keeper::credentials_memfd).transpose() {
                    Ok(credentials) => self.link.send(&Request::Spawn { worker, incarnation }, credentials),
                    Err(error) => {
                        let detail = format!("hand over its credentials: {error}");
                        let trouble = SpawnTrouble::Failed { detail };
                        self.happened(Event::SpawnFailed { worker, incarnation, trouble });
                    }
                }
            }
            Effect::Stop { worker, incarnation, signal } => {
                let (signal, scope) = match signal {
                    StopSignal::Term => (libc::SIGTERM, Scope::Group),
                    StopSignal::Kill => (libc::SIGKILL, Scope::Tree),
                };
                self.link.send(&Request::Signal { worker: worker.clone(), incarnation, signal, scope }, None);
                if signal == libc::SIGTERM {
                    // A process that was stopped hears TERM only when it goes on.
                    self.link.send(&Request::Signal { worker, incarnation, signal: libc::SIGCONT, scope }, None);
                }
            }
            Effect::Changed { worker, from, to, verdict } => {
                if let Some(slot) = self.fleet.slot(&worker) {
                    self.parts.board.show(&worker, slot, self.reliefs.stands_in_for(&worker));
                    let death = verdict.as_ref().and_then(|_| slot.tally().next_back());
                    if let (WorkerState::Starting, WorkerState::Running, Some((_, _, started_at))) =
                        (from, to, slot.state().process())
                    {
                        self.parts.board.tally().became_ready(&worker, BootTime::now().since(started_at));
                    }
                    log_change(&worker, slot.incarnation(), from.as_str(), to.as_str(), death);
                    if from != to || verdict.is_some() {
                        let detail = death.and_then(|death| death.detail.clone());
                        self.parts.journal.record(Happening {
                            tenant: Some(worker.tenant),
                            worker: Some(worker.clone()),
                            incarnation: Some(slot.incarnation()),
                            change: Some((from, to)),
                            verdict,
                            ..Happening::new(EventKind::State, detail.unwrap_or_else(|| reason(slot)))
                        });
                    }
                } else if let Some(verdict) = verdict {
                    self.left_for_good(&worker, (from, to), verdict);
                }
                self.room_of(&worker);
                self.account_touched(&worker, false);
            }
            Effect::Removed { worker } => {
                tracing::info!(worker = %worker, "removed");
                self.forgiveness.removed(&worker);
                self.parts.board.tally().removed(&worker);
                if self.tenants.as_ref().is_some_and(|tenants| !tenants.contains(&worker.tenant)) {
                    self.parts.board.tally().tenant_gone(worker.tenant, std::time::Instant::now());
                    if self.fleet.workers_of(worker.tenant).next().is_none() {
                        self.gone_for_good(worker.tenant);
                    }
                }
                self.memory.forget(&worker);
                self.room_of(&worker);
                self.account_touched(&worker, true);
                self.parts.board.remove(&worker);
            }
        }
    }
}

impl Control {
    /// The process of a worker that is not wanted any longer has ended: the fleet has forgotten it by now.
    fn left_for_good(&self, worker: &WorkerName, change: (WorkerState, WorkerState), verdict: Verdict) {
        let incarnation = self.parts.board.incarnation_of(worker);
        let (from, to) = (change.0.as_str(), change.1.as_str());
        tracing::info!(%worker, tenant = worker.tenant.get(), incarnation, from, to, %verdict, "worker");
        self.parts.journal.record(Happening {
            tenant: Some(worker.tenant),
            worker: Some(worker.clone()),
            incarnation,
            change: Some(change),
            verdict: Some(verdict),
            ..Happening::new(EventKind::State, "it is not needed any longer".to_owned())
        });
    }
}

fn log_change(worker: &WorkerName, incarnation: u64, from: &str, to: &str, death: Option<&Death>) {
    let verdict = death.map(|death| death.verdict.to_string());
    let detail = death.and_then(|death| death.detail.as_deref());
    if to == "FATAL" {
        tracing::error!(%worker, tenant = worker.tenant.get(), incarnation, from, to, verdict, detail, "given up");
    } else if from == to && verdict.is_none() {
        tracing::debug!(%worker, tenant = worker.tenant.get(), incarnation, state = to, "worker");
    } else {
        tracing::info!(%worker, tenant = worker.tenant.get(), incarnation, from, to, verdict, detail, "worker");
    }
}
