//! The benchmarks behind `scripts/bench`, which builds what is measured and starts what it needs.
//!
//! `bench --output DIRECTORY NAME…` takes the programs that lie beside it, prints a table for every name and writes
//! `DIRECTORY/NAME.json`. What is measured and how is described in `docs/performance.md`.

use std::{
    env, fs,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use tempfile::TempDir;

use crate::{
    outcome::{Doing, Outcome},
    patience::Patience,
    report::Report,
};

mod api;
mod bare;
mod born;
mod footprint;
mod machine;
mod measure;
mod outcome;
mod patience;
mod provision;
#[allow(dead_code, reason = "writing a record is the worker's side")]
mod record;
mod report;
mod status;
mod supervise;
mod supervisor;
mod worker;

/// What every benchmark is given.
#[derive(Debug)]
struct Bench {
    /// Where the programs are that are measured.
    programs: PathBuf,
    /// Where the results go.
    output: PathBuf,
    /// For what the benchmarks write while they run; beside the results, so that it is on a disk.
    disk: TempDir,
    patience: Patience,
}

type Measure = fn(&Bench, &mut Report) -> Outcome<()>;

const BENCHMARKS: [(&str, Measure); 5] = [
    ("supervise", supervise::run),
    ("footprint", footprint::run),
    ("worker", worker::run),
    ("provision", provision::run),
    ("api", api::run),
];

impl Bench {
    fn program(&self, name: &str) -> Outcome<PathBuf> {
        let path = self.programs.join(name);
        if path.is_file() { Ok(path) } else { Err(format!("{} is not built", path.display()).into()) }
    }

    /// Prints the table and says whether everything was reached.
    fn run(&self, name: &str, measure: Measure, out: &mut impl Write) -> Outcome<bool> {
        let (conditions, warning) = machine::conditions();
        writeln!(out, "{name}: {conditions}")?;
        if let Some(warning) = warning {
            writeln!(out, "warning: {warning}")?;
        }
        let mut report = Report::default();
        let ended = measure(self, &mut report);
        if let Err(error) = &ended {
            report.missing(format!("{name} ended early"));
            writeln!(out, "{name} ended early: {error}")?;
        }
        write!(out, "{}", report.table())?;
        let path = self.output.join(format!("{name}.json"));
        report.write(&path)?;
        writeln!(out, "written to {}\n", path.display())?;
        Ok(report.reached())
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "bench: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Outcome<bool> {
    let given: Vec<String> = env::args().skip(1).collect();
    if let [word, login, address] = &given[..]
        && word == api::page::BROWSE
    {
        return api::page::browse(login, address).map(|()| true);
    }
    let (output, names) = arguments(env::args().skip(1))?;
    fs::create_dir_all(&output).doing(output.display())?;
    let output = output.canonicalize()?;
    let programs = env::current_exe()?.parent().ok_or("this program lies nowhere")?.to_owned();
    let disk = tempfile::Builder::new().prefix("run-").tempdir_in(&output)?;
    let bench = Bench { programs, output, disk, patience: Patience::new()? };
    let mut reached = true;
    for (name, measure) in BENCHMARKS {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            reached &= bench.run(name, measure, &mut io::stdout().lock())?;
            bench.patience.pause(std::time::Duration::ZERO)?;
        }
    }
    Ok(reached)
}

fn arguments(arguments: impl Iterator<Item = String>) -> Outcome<(PathBuf, Vec<String>)> {
    let mut arguments = arguments;
    let (mut output, mut names) = (PathBuf::from("target/bench"), Vec::new());
    while let Some(argument) = arguments.next() {
        if argument == "--output" {
            output = arguments.next().ok_or("--output needs a directory")?.into();
        } else if BENCHMARKS.iter().any(|(name, _)| *name == argument) {
            names.push(argument);
        } else {
            let known = BENCHMARKS.map(|(name, _)| name).join(", ");
            return Err(format!("there is no benchmark {argument}; there are {known}").into());
        }
    }
    Ok((output, names))
}
