//! The page in Chromium, with a row for each of a thousand tenants.

use std::{sync::mpsc, thread, time::Duration};

use system_tests::browser::{Browser, Paint, Screen};
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

pub(super) fn measure(running: &Running<'_>, report: &mut Report, token: &str) -> Outcome<()> {
    running.settle()?;
    let address = format!("http://{}", running.supervisor.address()?);
    let login = format!("{address}/#login={token}");
    let (told, paints) = mpsc::channel();
    let (begin, begun) = mpsc::channel();
    // A thread of its own: what the harness expects of the page and does not find is a panic.
    let browsing = move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        runtime.block_on(async {
            let browser = Browser::open(Screen::Desktop).await;
            browser.go(&login).await;
            let rows = "document.querySelector('.space .line') !== null";
            browser.until("somebody is logged in and sees tenants", rows).await;
            let mut paints = Vec::new();
            for _ in 0..LOADS {
                paints.push(browser.paint(&address).await);
            }
            told.send(paints).map_err(|error| error.to_string())?;
            begun.recv().map_err(|error| error.to_string())?;
            Ok::<_, String>(browser.frames(WINDOW).await)
        })
    };
    let browser = thread::Builder::new().name("browser".to_owned()).spawn(browsing)?;
    let paints = paints.recv().doing("load the page; what was missing stands above")?;
    let median = |what: fn(&Paint) -> f64| Samples::from(paints.iter().map(what).collect::<Vec<_>>()).median();
    report.figure(
        "page with 1000 tenants: first rows of the table, median of 5 loads",
        median(|paint| paint.rows),
        "ms",
        1000.0,
    );
    report.context("  first paint, median", median(|paint| paint.first), "ms");

    begin.send(())?;
    let killed = kill_steadily(running, KILLS_A_SECOND, WINDOW)?;
    let frames = browser.join().map_err(|_| "the page has failed; why stands above")??;
    report.at_least(format!("frames while {KILLS_A_SECOND} rows change a second"), frames.per_second, "frames/s", 50.0);
    report.context("  the longest time between two", frames.longest, "ms");
    report.context("  workers killed meanwhile", f64::from(u32::try_from(killed)?), "");
    #[expect(clippy::cast_precision_loss, reason = "some thousand")]
    report.at_least("  texts that changed in the table", frames.changes as f64, "", 1.0);
    Ok(())
}
