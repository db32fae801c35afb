//! One worker: what it costs while it waits, and how soon it works.

use std::{
    fs,
    io::ErrorKind,
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    Bench,
    measure::{Samples, megabytes, milliseconds, proportional_set_size},
    outcome::{Doing, Outcome},
    record::now,
    report::Report,
    supervisor::{Fleet, Supervisor, memory_directory, quoted},
};

const WORKERS: usize = 100;
const SINGLE_STARTS: usize = 50;
const IDLE: Duration = Duration::from_secs(15);

/// The broker and the database that `scripts/bench` has started.
struct Stack {
    broker: String,
    database: String,
    broker_port: u16,
    /// Where both can be had with TLS.
    tls: Tls,
}

struct Tls {
    broker_port: u16,
    ca_file: String,
}

pub(crate) fn run(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let stack = Stack {
        broker: variable("AMQP_URL")?,
        database: variable("DATABASE_URL")?,
        broker_port: variable("AMQP_PORT")?.parse().doing("AMQP_PORT")?,
        tls: Tls {
            broker_port: variable("AMQPS_PORT")?.parse().doing("AMQPS_PORT")?,
            ca_file: variable("STACK_CA_FILE")?,
        },
    };
    let samples = idle_memory(bench, &stack, false)?;
    report.figure(format!("idle transform-worker, {WORKERS} of them, mean (PSS)"), samples.mean(), "MB", 0.6);
    report.figure("  the largest", samples.max(), "MB", 0.6);
    let samples = idle_memory(bench, &stack, true)?;
    report.context(format!("idle transform-worker with TLS, {WORKERS} of them, mean (PSS)"), samples.mean(), "MB");
    single_starts(bench, report, &stack)
}

fn variable(name: &str) -> Outcome<String> {
    std::env::var(name).doing(format!("{name}, which scripts/bench sets"))
}

/// Under the supervisor, as in reality; it leaves the queues behind for the next measurement.
fn idle_memory(bench: &Bench, stack: &Stack, encrypted: bool) -> Outcome<Samples> {
    let (mut broker, mut database, mut port) = (stack.broker.clone(), stack.database.clone(), stack.broker_port);
    if encrypted {
        port = stack.tls.broker_port;
        let (old, new) = (format!(":{}/", stack.broker_port), format!(":{port}/"));
        broker = broker.replacen("amqp://", "amqps://", 1).replacen(&old, &new, 1);
        database.push_str("?sslmode=verify-full");
    }
    let ca_file = &stack.tls.ca_file;
    let sections = format!(
        "[broker]\nurl = {broker:?}\nca_file = {ca_file:?}\n\n[database]\nurl = {database:?}\nca_file = {ca_file:?}\n\n\
         [queues.transform]\ncommand = [{}, \"--queue\", \"{{queue}}\"]\n",
        quoted(&bench.program("transform-worker")?),
    );
    let mut supervisor = Supervisor::prepare(bench, memory_directory()?, &Fleet { size: WORKERS, sections })?;
    let mut measure = || {
        supervisor.launch()?;
        let limit = Duration::from_secs(90);
        let (_, running) = bench
            .patience
            .until("every worker consuming", limit, Duration::from_millis(50), || supervisor.all_running())?;
        bench.patience.pause(IDLE)?;
        let mut samples = Samples::default();
        for pid in running.values() {
            let connected = connections(*pid, port)?;
            if connected == 0 {
                return Err(format!("worker {pid} has no connection to the broker").into());
            }
            samples.add(megabytes(proportional_set_size(*pid)?));
        }
        Ok(samples)
    };
    let samples = measure().map_err(|error: Box<dyn std::error::Error>| format!("{error}\n{}", supervisor.said()))?;
    Ok(samples)
}

/// How many established connections a process has to a port.
fn connections(pid: i32, port: u16) -> Outcome<usize> {
    const ESTABLISHED: &str = "01";
    let own: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))?
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter_map(|target| Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let remote = format!(":{port:04X}");
    let mut count = 0;
    for family in ["tcp", "tcp6"] {
        let table = fs::read_to_string(format!("/proc/{pid}/net/{family}")).unwrap_or_default();
        count += table
            .lines()
            .filter(|line| {
                let fields: Vec<&str> = line.split_whitespace().collect();
                matches!(fields[..], [_, _, peer, state, _, _, _, _, _, inode, ..]
                    if peer.ends_with(&remote) && state == ESTABLISHED && own.iter().any(|one| one == inode))
            })
            .count();
    }
    Ok(count)
}

/// By hand, one at a time, each on a queue that exists.
fn single_starts(bench: &Bench, report: &mut Report, stack: &Stack) -> Outcome<()> {
    let directory = memory_directory()?;
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path)?;
    socket.set_nonblocking(true)?;
    let program = bench.program("transform-worker")?;
    let mut samples = Samples::default();
    for tenant in 1..=SINGLE_STARTS {
        let began = now();
        let mut worker = Single::start(&program, &path, &format!("transform_queue_tenant_{tenant}"), stack)?;
        let ready = bench.patience.until("READY=1", Duration::from_secs(10), Duration::from_micros(200), || {
            let mut text = [0; 4096];
            match socket.recv(&mut text) {
                Ok(length) if text[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") => Ok(now()),
                Ok(_) => Err("it said something else".to_owned()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Err("nothing was said".to_owned()),
                Err(error) => Err(error.to_string()),
            }
        })?;
        samples.add(milliseconds(began, ready));
        worker.end(bench)?;
    }
    report.figure(format!("exec → consuming, median of {SINGLE_STARTS}"), samples.median(), "ms", 30.0);
    report.context("  the slowest", samples.max(), "ms");
    Ok(())
}

/// A worker that does not outlive the bench.
struct Single(Child);

impl Single {
    fn start(program: &Path, notify: &Path, queue: &str, stack: &Stack) -> Outcome<Self> {
        let mut command = Command::new(program);
        command.arg("--queue").arg(queue).env_clear();
        command.env("AMQP_URL", &stack.broker).env("DATABASE_URL", &stack.database).env("NOTIFY_SOCKET", notify);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.spawn().doing(program.display())?))
    }

    fn end(&mut self, bench: &Bench) -> Outcome<()> {
        kill(Pid::from_raw(i32::try_from(self.0.id())?), Signal::SIGTERM)?;
        bench.patience.until("the worker's end", Duration::from_secs(30), Duration::from_millis(1), || {
            match self.0.try_wait() {
                Ok(Some(_)) => Ok(()),
                Ok(None) => Err("it still runs".to_owned()),
                Err(error) => Err(error.to_string()),
            }
        })
    }
}

impl Drop for Single {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
