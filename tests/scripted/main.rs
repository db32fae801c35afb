//! A worker that behaves as a test tells it to: see `system_tests::scripted`.
//!
//! `scripted-worker --home DIR --tenant N --worker NAME` is what the supervisor starts; `scripted-worker --detached DIR
//! LEVEL` is a descendant of it on its way into a session of its own.

use std::{
    env,
    error::Error,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    path::{Path, PathBuf},
    process::{self, Command, ExitCode},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{SigSet, Signal, raise},
    unistd::setsid,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

const WATCHED: [Signal; 9] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGTSTP,
    Signal::SIGCONT,
    Signal::SIGWINCH,
];

#[derive(Default)]
struct Plan {
    ready_after: Duration,
    never_ready: bool,
    exit_at_once: Option<i32>,
    die_at_once: Option<Signal>,
    exit_after: Option<(Duration, i32)>,
    ignore_term: bool,
    slow_exit: Duration,
    descendants: u32,
    memory: usize,
    print: Vec<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["--home", home, "--tenant", tenant, "--worker", worker] => work(Path::new(home), tenant, worker),
        ["--detached", home, level] => detached(Path::new(home), level),
        _ => Err("usage: scripted-worker --home DIR --tenant N --worker NAME".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "scripted-worker: {error}");
            ExitCode::from(70)
        }
    }
}

fn work(home: &Path, tenant: &str, worker: &str) -> Outcome<()> {
    let signals: SigSet = WATCHED.into_iter().collect();
    // Before the first thread, so that all of them leave signals to the loop below.
    signals.thread_block()?;
    let pid = process::id();
    append(home, "born", &format!("{worker} {pid}"))?;
    let plan = read_plan(home, tenant)?;
    for line in &plan.print {
        writeln!(io::stdout(), "{line}")?;
    }
    std::mem::forget(std::hint::black_box(vec![1_u8; plan.memory << 20]));
    for _ in 0..plan.descendants {
        detach(home, "session")?.wait()?;
    }
    if let Some(code) = plan.exit_at_once {
        process::exit(code);
    }
    if let Some(signal) = plan.die_at_once {
        // The first SIGSEGV or SIGBUS only takes away the handler with which Rust's library looks for stack overflows.
        raise(signal)?;
        raise(signal)?;
    }
    let (ready_after, never_ready, exit_after) = (plan.ready_after, plan.never_ready, plan.exit_after);
    thread::spawn(move || {
        if never_ready {
            return;
        }
        thread::sleep(ready_after);
        if let Err(error) = say_ready() {
            let _ = writeln!(io::stderr(), "scripted-worker: cannot say that it is ready: {error}");
        }
        if let Some((time, code)) = exit_after {
            thread::sleep(time);
            process::exit(code);
        }
    });
    loop {
        let signal = signals.wait()?;
        append(home, "signals", &format!("{pid} {}", signal.as_str()))?;
        match signal {
            Signal::SIGTERM if !plan.ignore_term => {
                thread::sleep(plan.slow_exit);
                return Ok(());
            }
            Signal::SIGQUIT | Signal::SIGINT => return Ok(()),
            _ => {}
        }
    }
}

/// Twice a session of its own with a parent that ends: nothing of the worker's process group or parentage is left.
fn detached(home: &Path, level: &str) -> Outcome<()> {
    setsid()?;
    if level == "session" {
        detach(home, "last")?;
        // The parent waits for this process, so the descendant must stand in the list before it ends.
        return Ok(());
    }
    let signals: SigSet = WATCHED.into_iter().collect();
    signals.thread_block()?;
    loop {
        signals.wait()?;
    }
}

fn detach(home: &Path, level: &str) -> Outcome<process::Child> {
    let child = Command::new(env::current_exe()?).args([Path::new("--detached"), home, Path::new(level)]).spawn()?;
    if level == "last" {
        append(home, "descendants", &child.id().to_string())?;
    }
    Ok(child)
}

fn read_plan(home: &Path, tenant: &str) -> Outcome<Plan> {
    let own = home.join(format!("plan-{tenant}"));
    let path: PathBuf = if own.exists() { own } else { home.join("plan") };
    let mut plan = Plan::default();
    for line in fs::read_to_string(path).unwrap_or_default().lines() {
        let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
        let milliseconds = |text: &str| text.parse().map(Duration::from_millis);
        match what {
            "ready-after" => plan.ready_after = milliseconds(rest)?,
            "never-ready" => plan.never_ready = true,
            "exit" => plan.exit_at_once = Some(rest.parse()?),
            "die" => plan.die_at_once = Some(Signal::try_from(rest.parse::<i32>()?)?),
            "exit-after" => {
                let (time, code) = rest.split_once(' ').ok_or("exit-after TIME CODE")?;
                plan.exit_after = Some((milliseconds(time)?, code.parse()?));
            }
            "ignore-term" => plan.ignore_term = true,
            "slow-exit" => plan.slow_exit = milliseconds(rest)?,
            "descendants" => plan.descendants = rest.parse()?,
            "memory" => plan.memory = rest.parse()?,
            "print" => plan.print.push(rest.to_owned()),
            other => return Err(format!("no such instruction: {other}").into()),
        }
    }
    Ok(plan)
}

fn say_ready() -> Outcome<()> {
    // A supervisor that counts a process as ready once it runs leaves this out.
    let Some(path) = env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let address = match path.as_encoded_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(&path)?,
    };
    UnixDatagram::unbound()?.send_to_addr(b"READY=1\n", &address)?;
    Ok(())
}

/// One write, so that lines of several processes do not mix.
fn append(home: &Path, name: &str, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(home.join(name))?;
    file.write_all(format!("{line}\n").as_bytes())
}
