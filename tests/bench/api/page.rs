//! The page in Chromium, with a row for each of a thousand tenants.

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    process::{Command, Stdio},
    time::Duration,
};

use system_tests::browser::{Browser, Frames, Paint, Screen};
use tokio::runtime;

use super::events::kill_steadily;
use crate::{
    measure::Samples,
    outcome::{Doing, Outcome},
    report::Report,
    supervise::Running,
};

/// How often the page is loaded.
const LOADS: usize = 5;
/// Each of them changes a row, twice.
const KILLS_A_SECOND: u32 = 100;
const WINDOW: Duration = Duration::from_secs(10);

/// The word that makes this program the one in front of the browser. What the harness expects of the page and does not find is a panic, which
/// ends a whole process: it must not be the one that has to clean up.
pub(crate) const BROWSE: &str = "--browse";

/// Loads the page, writes what was measured, and counts frames once a line comes.
pub(crate) fn browse(login: &str, address: &str) -> Outcome<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let browser = Browser::open(Screen::Desktop).await;
        browser.go(login).await;
        browser.click("form.login button[type=submit]").await;
        let rows = "document.querySelector('.space .line') !== null";
        browser.until("somebody is logged in and sees tenants", rows).await;
        let mut paints = Vec::new();
        for _ in 0..LOADS {
            paints.push(browser.paint(address).await);
        }
        writeln!(io::stdout(), "{}", serde_json::to_string(&paints)?)?;
        io::stdin().read_line(&mut String::new())?;
        let frames = browser.frames(WINDOW).await;
        writeln!(io::stdout(), "{}", serde_json::to_string(&frames)?)?;
        Ok(())
    })
}

pub(super) fn measure(running: &Running<'_>, report: &mut Report, token: &str) -> Outcome<()> {
    running.settle()?;
    let address = format!("http://{}", running.supervisor.address()?);
    let login = format!("{address}/#login={token}");
    let mut browser = Command::new(env::current_exe()?)
        .args([BROWSE, &login, &address])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .doing("start the program in front of the browser")?;
    let (Some(mut begin), Some(said)) = (browser.stdin.take(), browser.stdout.take()) else {
        return Err("the program in front of the browser has no pipes".into());
    };
    let mut said = BufReader::new(said).lines();
    let mut next = move || said.next().ok_or("the page has failed; why stands above")?.doing("hear of the page");
    let paints: Vec<Paint> = serde_json::from_str(&next()?)?;
    let median = |what: fn(&Paint) -> f64| Samples::from(paints.iter().map(what).collect::<Vec<_>>()).median();
    report.figure(
        "page with 1000 tenants: first rows of the table, median of 5 loads",
        median(|paint| paint.rows),
        "ms",
        1000.0,
    );
    report.context("  first paint, median", median(|paint| paint.first), "ms");

    writeln!(begin)?;
    let killed = kill_steadily(running, KILLS_A_SECOND, WINDOW)?;
    let frames: Frames = serde_json::from_str(&next()?)?;
    browser.wait()?;
    report.at_least(format!("frames while {KILLS_A_SECOND} rows change a second"), frames.per_second, "frames/s", 50.0);
    report.context("  the longest time between two", frames.longest, "ms");
    report.context("  workers killed meanwhile", f64::from(u32::try_from(killed)?), "");
    #[expect(clippy::cast_precision_loss, reason = "some thousand")]
    report.at_least("  texts that changed in the table", frames.changes as f64, "", 1.0);
    Ok(())
}
