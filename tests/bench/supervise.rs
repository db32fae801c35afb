//! Supervising itself: a thousand workers that do nothing, then five thousand.

use std::{collections::BTreeMap, time::Duration};

use etl_shared::{WorkerName, api::FleetStatus};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    Bench, bare,
    born::Births,
    machine,
    measure::{Samples, megabytes, milliseconds, processor_time, proportional_set_size, seconds},
    outcome::{Doing, Outcome},
    record::{PATH_VARIABLE, now},
    report::Report,
    status,
    supervisor::{Fleet, Supervisor, memory_directory, quoted},
};

/// Workers that are killed one after the other.
pub(crate) const SINGLE_KILLS: usize = 200;
const STATUS_REQUESTS: usize = 50;
/// Two turns of the supervisor's default sampling, so that its cost is in the figure.
const IDLE_WINDOW: Duration = Duration::from_mins(1);
const LIMIT: Duration = Duration::from_mins(2);
const OFTEN: Duration = Duration::from_millis(5);

/// What a fleet of one size has to reach.
struct Goals {
    start: f64,
    all_back: f64,
    memory: f64,
    status: f64,
}

pub(crate) fn run(bench: &Bench, report: &mut Report) -> Outcome<()> {
    bare::run(bench, report, 1000)?;
    attempt(bench, report, 1000, thousand)?;
    attempt(bench, report, 5000, five_thousand)
}

fn thousand(running: &mut Running<'_>, report: &mut Report) -> Outcome<()> {
    let goals = Goals { start: 1.5, all_back: 1.5, memory: 15.0, status: 10.0 };
    running.start(report, &goals)?;
    running.settle()?;
    running.memory(report, "after the start", &goals)?;
    running.idle(report)?;
    running.status(report, &goals)?;
    running.kill_one_by_one(report)?;
    running.kill_all(report, &goals)?;
    running.settle()?;
    running.memory(report, "after all were killed once", &goals)?;
    running.kill_brain(report)
}

fn five_thousand(running: &mut Running<'_>, report: &mut Report) -> Outcome<()> {
    let goals = Goals { start: 7.0, all_back: 7.0, memory: 60.0, status: 50.0 };
    running.start(report, &goals)?;
    running.settle()?;
    running.memory(report, "after the start", &goals)?;
    running.status(report, &goals)?;
    running.kill_all(report, &goals)?;
    running.settle()?;
    running.memory(report, "after all were killed once", &goals)
}

pub(crate) type Measurements = fn(&mut Running<'_>, &mut Report) -> Outcome<()>;

/// Measures a fleet of one size, where the machine can hold it.
pub(crate) fn attempt(bench: &Bench, report: &mut Report, size: usize, measure: Measurements) -> Outcome<()> {
    if let Some(why) = machine::too_small_for(size) {
        report.missing(format!("{size} workers: {why}"));
        return Ok(());
    }
    let mut running = Running::prepare(bench, size)?;
    measure(&mut running, report).map_err(|error| format!("{error}\n{}", running.supervisor.said()).into())
}

/// A supervisor with its fleet of trivial workers.
pub(crate) struct Running<'a> {
    bench: &'a Bench,
    size: usize,
    pub(crate) supervisor: Supervisor,
    births: Births,
}

impl<'a> Running<'a> {
    pub(crate) fn prepare(bench: &'a Bench, size: usize) -> Outcome<Self> {
        let memory = memory_directory()?;
        let births = Births::create(memory.path().join("born"))?;
        // Every kill has to be a first one, which is answered at once: failures are forgotten soon and never too many.
        let sections = format!(
            "[restart]\nreset_after = \"500ms\"\nmax_restarts = 1000000\nmax_concurrent_starts = 64\n\n\
             [queues.transform]\ncommand = [{0}]\nready = \"exec\"\nenvironment = {{ {PATH_VARIABLE} = {1} }}\n\
             writable = [{1}]\n",
            quoted(&bench.program("trivial-worker")?),
            quoted(births.path()),
        );
        let supervisor = Supervisor::prepare(bench, memory, &Fleet { size, sections })?;
        Ok(Self { bench, size, supervisor, births })
    }

    /// Executes the supervisor and waits until every worker is RUNNING; returns when the last one came to its `main()`.
    pub(crate) fn launch(&mut self) -> Outcome<u64> {
        self.supervisor.launch()?;
        let (_, last) = self.births.wait_for_all(&self.bench.patience, 0, self.size, LIMIT)?;
        self.wait_for_status()?;
        Ok(last)
    }

    fn start(&mut self, report: &mut Report, goals: &Goals) -> Outcome<()> {
        let began = now();
        let last = self.launch()?;
        let said = now().max(last);
        let size = self.size;
        report.figure(format!("{size} workers all running after start"), seconds(began, said), "s", goals.start);
        report.context("  of it until the last worker's main()", seconds(began, last), "s");
        self.expect_births(size)
    }

    /// The status with every worker RUNNING.
    pub(crate) fn wait_for_status(&self) -> Outcome<(FleetStatus, BTreeMap<WorkerName, i32>)> {
        self.bench.patience.until("every worker RUNNING", LIMIT, OFTEN, || self.supervisor.all_running())
    }

    fn expect_births(&self, expected: usize) -> Outcome<()> {
        let births = self.births.count()?;
        if births == expected { Ok(()) } else { Err(format!("{births} workers were started, not {expected}").into()) }
    }

    /// Waits; an error when somebody wants the bench to end.
    pub(crate) fn pause(&self, duration: Duration) -> Outcome<()> {
        self.bench.patience.pause(duration)
    }

    /// The pids of brain and keeper.
    pub(crate) fn own_processes(&self) -> Outcome<[i32; 2]> {
        let status = self.supervisor.status()?.supervisor;
        Ok([i32::try_from(status.pid)?, status.keeper_pid.ok_or("the status names no keeper")?])
    }

    /// Waits until brain and keeper have nothing to do any more, half a minute at most.
    pub(crate) fn settle(&self) -> Outcome<()> {
        let pids = self.own_processes()?;
        for _ in 0..30 {
            let before = processor_times(pids)?;
            self.bench.patience.pause(Duration::from_secs(1))?;
            if processor_times(pids)?.saturating_sub(before) < Duration::from_millis(2) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn memory(&self, report: &mut Report, when: &str, goals: &Goals) -> Outcome<()> {
        let [brain, keeper] = self.own_processes()?.map(proportional_set_size);
        let (brain, keeper) = (brain?, keeper?);
        let what = format!("memory of brain + keeper with {} workers {when} (PSS)", self.size);
        report.figure(what, megabytes(brain + keeper), "MB", goals.memory);
        report.context("  of it the keeper", megabytes(keeper), "MB");
        Ok(())
    }

    fn idle(&self, report: &mut Report) -> Outcome<()> {
        let pids = self.own_processes()?;
        let (before, began) = (processor_times(pids)?, now());
        self.bench.patience.pause(IDLE_WINDOW)?;
        let percent = 100.0 * processor_times(pids)?.saturating_sub(before).as_secs_f64() / seconds(began, now());
        report.figure(format!("their idle CPU with {} workers", self.size), percent, "% of a core", 0.1);
        Ok(())
    }

    fn status(&self, report: &mut Report, goals: &Goals) -> Outcome<()> {
        let (mut whole, mut received) = (Samples::default(), Samples::default());
        for _ in 0..STATUS_REQUESTS {
            let began = now();
            let body = self.supervisor.body()?;
            received.add(milliseconds(began, now()));
            let running = status::running(&status::parse(&body)?).len();
            whole.add(milliseconds(began, now()));
            if running != self.size {
                return Err(format!("the status shows {running} RUNNING workers, not {}", self.size).into());
            }
            self.bench.patience.pause(Duration::from_millis(20))?;
        }
        let what = format!("status of {} workers over the API, read and parsed, median", self.size);
        report.figure(what, whole.median(), "ms", goals.status);
        report.context("  of it until the body was complete, median", received.median(), "ms");
        Ok(())
    }

    /// Kills workers one after the other; the milliseconds until each one's successor came to its `main()`.
    pub(crate) fn single_kills(&self) -> Outcome<Samples> {
        let (_, running) = self.wait_for_status()?;
        let mut samples = Samples::default();
        let before = self.births.count()?;
        for (number, pid) in running.values().step_by(self.size / SINGLE_KILLS).take(SINGLE_KILLS).enumerate() {
            let killed = now();
            kill(Pid::from_raw(*pid), Signal::SIGKILL).doing("kill a worker")?;
            let successor = self.births.wait_for(&self.bench.patience, before + number)?;
            samples.add(milliseconds(killed, successor.at));
            self.bench.patience.pause(Duration::from_millis(10))?;
        }
        self.wait_for_status()?;
        self.expect_births(before + SINGLE_KILLS)?;
        Ok(samples)
    }

    fn kill_one_by_one(&self, report: &mut Report) -> Outcome<()> {
        let samples = self.single_kills()?;
        let what = "SIGKILL of one worker → its successor's main()";
        report.figure(format!("{what}, median of {SINGLE_KILLS}"), samples.median(), "ms", 3.0);
        report.figure(format!("{what}, p99"), samples.percentile(99), "ms", 15.0);
        report.context("  the slowest", samples.max(), "ms");
        Ok(())
    }

    /// Kills all workers at once and waits until all are back.
    pub(crate) fn kill_everybody(&self) -> Outcome<()> {
        let (_, running) = self.wait_for_status()?;
        let before = self.births.count()?;
        for pid in running.values() {
            kill(Pid::from_raw(*pid), Signal::SIGKILL).doing("kill a worker")?;
        }
        self.births.wait_for_all(&self.bench.patience, before, before + self.size, LIMIT)?;
        self.wait_for_status().map(|_| ())
    }

    fn kill_all(&self, report: &mut Report, goals: &Goals) -> Outcome<()> {
        // Longer than `reset_after`.
        self.bench.patience.pause(Duration::from_secs(2))?;
        let (_, running) = self.wait_for_status()?;
        let before = self.births.count()?;
        let killed = now();
        for pid in running.values() {
            kill(Pid::from_raw(*pid), Signal::SIGKILL).doing("kill a worker")?;
        }
        let total = before + self.size;
        let (born, last) = self.births.wait_for_all(&self.bench.patience, before, total, LIMIT)?;
        let (_, running) = self.wait_for_status()?;
        let said = now();
        self.expect_births(total)?;
        if running.values().any(|pid| !born.contains(pid)) {
            return Err("the status names other processes than those that were born".into());
        }
        let size = self.size;
        report.figure(format!("all {size} killed at once → all back"), seconds(killed, last), "s", goals.all_back);
        report.context("  until the status says so", seconds(killed, said), "s");
        Ok(())
    }

    fn kill_brain(&mut self, report: &mut Report) -> Outcome<()> {
        let (_, before) = self.wait_for_status()?;
        let births = self.births.count()?;
        self.supervisor.kill_brain()?;
        let began = now();
        self.supervisor.launch()?;
        let (_, after) = self.wait_for_status()?;
        let adopted = seconds(began, now());
        // Whatever it should start wrongly has time to appear.
        self.bench.patience.pause(Duration::from_secs(2))?;
        let other = before.iter().filter(|(worker, pid)| after.get(worker) != Some(pid)).count();
        let started = self.births.count()? - births;
        let size = self.size;
        report.figure(format!("brain killed and started again → {size} adopted"), adopted, "s", 1.0);
        report.figure("  workers with another pid", count(other), "", 0.0);
        report.figure("  workers started a second time", count(started), "", 0.0);
        Ok(())
    }
}

pub(crate) fn processor_times(pids: [i32; 2]) -> Outcome<Duration> {
    let [brain, keeper] = pids.map(processor_time);
    Ok(brain? + keeper?)
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
fn count(number: usize) -> f64 {
    number as f64
}
