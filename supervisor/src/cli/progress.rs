//! How far a long command has come: a bar on a terminal, a plain line now and then elsewhere.

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output;

/// How often a plain line is written.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Counts up; taken off the screen when it is dropped.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    doing: &'static str,
    total: Option<u64>,
    count: u64,
    line_at: Instant,
}

impl Progress {
    /// To `total`, where that is known. Without colour, so there is none to switch off.
    pub(super) fn new(doing: &'static str, total: Option<u64>) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let template = match total {
                Some(_) => "{msg} [{bar:40}] {pos}/{len}, {per_sec}, {eta} left",
                None => "{msg} {spinner} {pos}, {per_sec}",
            };
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
            bar.with_style(style.progress_chars("=> ")).with_message(doing)
        });
        Self { bar, doing, total, count: 0, line_at: Instant::now() + LINE_EVERY }
    }

    /// So many more.
    pub(super) fn add(&mut self, more: u64) {
        self.count += more;
        if let Some(bar) = &self.bar {
            bar.set_position(self.count);
        } else if Instant::now() >= self.line_at {
            self.line_at = Instant::now() + LINE_EVERY;
            let total = self.total.map_or_else(String::new, |total| format!(" of {total}"));
            output::remark(&format!("{}: {}{total}", self.doing, self.count));
        }
    }

    /// Says something beside the bar.
    pub(super) fn remark(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| output::remark(text)),
            None => output::remark(text),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
