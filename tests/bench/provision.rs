//! Accounts for a thousand tenants at broker and database: made from nothing, looked at, replaced.

use std::{
    collections::BTreeSet,
    env, fs,
    time::{Duration, Instant},
};

use etl_supervisor::accounts::{AccountNews, AccountOrder};
use system_tests::{
    accounts::{AtWork, Installation, tenant},
    stack::Endpoints,
};
use tokio::runtime::{self, Runtime};

use crate::{
    Bench,
    measure::megabytes,
    outcome::{Doing, Outcome},
    report::Report,
};

const TENANTS: i64 = 1_000;
const LONGEST: Duration = Duration::from_mins(3);
const LOOK_EVERY: Duration = Duration::from_millis(5);

pub(crate) fn run(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let installation = runtime.block_on(Installation::on(Endpoints::shared()));
    let (broker, catalogue) = (broker_memory()?, catalogue_size(&runtime, &installation)?);

    let task = runtime.block_on(async { installation.start() });
    let began = Instant::now();
    task.want(1..=TENANTS);
    said(bench, &task, "everybody is ready", |word| matches!(word, AccountNews::Ready { .. }))?;
    report.figure("1,000 tenants provisioned from nothing", began.elapsed().as_secs_f64(), "s", 15.0);
    report.context("broker: resident memory before", megabytes(broker), "MB");
    report.context("broker: resident memory with 1,000 users", megabytes(broker_memory()?), "MB");
    let catalogue = catalogue_size(&runtime, &installation)?.saturating_sub(catalogue);
    report.context("database: catalogue and table for 1,000 roles", megabytes(catalogue), "MB");
    drop(task);

    // Looked at in the order of their numbers, so the last one, which is new, comes when all others have been looked at.
    let task = runtime.block_on(async { installation.start() });
    let began = Instant::now();
    task.want(1..=TENANTS + 1);
    said(bench, &task, "the last one is ready", |word| matches!(word, AccountNews::Ready { .. }))?;
    report.context("the same again, with one tenant to be made", began.elapsed().as_secs_f64(), "s");

    let heard = task.heard();
    let began = Instant::now();
    for id in 1..=TENANTS {
        task.order(AccountOrder::Prepare { tenant: tenant(id) });
    }
    said_after(bench, &task, heard, "everybody is prepared", |word| {
        matches!(word, AccountNews::Prepared { outcome: Ok(_), .. })
    })?;
    report.context("1,000 second generations prepared", began.elapsed().as_secs_f64(), "s");
    let heard = task.heard();
    let began = Instant::now();
    for id in 1..=TENANTS {
        task.order(AccountOrder::Adopt { tenant: tenant(id), generation: 2 });
    }
    said_after(bench, &task, heard, "everybody is settled", |word| {
        matches!(word, AccountNews::Settled { outcome: Ok(_), .. })
    })?;
    report.context("… adopted, and the first ones deleted", began.elapsed().as_secs_f64(), "s");
    let began = Instant::now();
    let heard = task.heard();
    task.want([TENANTS + 1]);
    said_after(bench, &task, heard, "everybody is revoked", |word| matches!(word, AccountNews::Revoked { .. }))?;
    report.context("1,000 tenants revoked", began.elapsed().as_secs_f64(), "s");
    Ok(())
}

fn said(bench: &Bench, task: &AtWork, what: &str, counts: impl Fn(&AccountNews) -> bool) -> Outcome<()> {
    let all = || {
        let ready: BTreeSet<_> = task.news().into_iter().filter(&counts).map(|word| format!("{word:?}")).collect();
        ready.len()
    };
    let wanted = usize::try_from(TENANTS)? + usize::from(what.contains("last"));
    bench.patience.until(what, LONGEST, LOOK_EVERY, || {
        if task.heard() < wanted {
            return Err(format!("{} of {wanted}", task.heard()));
        }
        let found = all();
        if found >= wanted { Ok(()) } else { Err(format!("{found} of {wanted}")) }
    })
}

fn said_after(
    bench: &Bench,
    task: &AtWork,
    heard: usize,
    what: &str,
    counts: impl Fn(&AccountNews) -> bool,
) -> Outcome<()> {
    let wanted = usize::try_from(TENANTS)?;
    bench.patience.until(what, LONGEST, LOOK_EVERY, || {
        if task.heard() < heard + wanted {
            return Err(format!("{} of {wanted}", task.heard() - heard));
        }
        let found = task.news().iter().skip(heard).filter(|word| counts(word)).count();
        if found >= wanted { Ok(()) } else { Err(format!("{found} of {wanted}")) }
    })
}

fn catalogue_size(runtime: &Runtime, installation: &Installation) -> Outcome<u64> {
    let select = "SELECT (SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class AS c
                          WHERE c.oid IN ('pg_authid'::regclass, 'pg_auth_members'::regclass, 'worker_accounts'::regclass))::bigint";
    let row =
        runtime.block_on(installation.platform.database.client().query_one(select, &[])).doing("ask for sizes")?;
    Ok(u64::try_from(row.get::<_, i64>(0))?)
}

/// Resident memory of the stack's broker.
fn broker_memory() -> Outcome<u64> {
    let stack = env::var("STACK_DIR").doing("STACK_DIR, which `scripts/stack env` prints")?;
    for entry in fs::read_dir("/proc")? {
        let directory = entry?.path();
        let Ok(command) = fs::read(directory.join("cmdline")) else { continue };
        let command = String::from_utf8_lossy(&command);
        if command.split('\0').next().is_some_and(|program| program.ends_with("beam.smp"))
            && (command.contains(&stack)
                || fs::read(directory.join("environ"))
                    .is_ok_and(|environment| String::from_utf8_lossy(&environment).contains(&stack)))
        {
            let status = fs::read_to_string(directory.join("status"))?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
            let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
            return Ok(kilobytes * 1024);
        }
    }
    Err("the stack's broker is not to be found".into())
}
