//! Replays and discards, in calls of some hundred letters each.
//!
//! The letters are listed first and then settled by their numbers. A filter that is asked again after every call would find those that
//! have failed once more meanwhile, and go round with them for ever.

use std::{collections::BTreeMap, process::ExitCode};

use etl_shared::api::{DeadLetter, LetterFailure, LetterSelection, LettersSettled};
use miette::{IntoDiagnostic, Report, WrapErr, miette};

use super::{
    PATH,
    choice::{Filter, pages},
};
use crate::cli::{Client, output, progress::Progress};

/// Letters of one call.
const CHUNK: usize = 250;
/// So many failures are named; the rest is counted.
const NAMED: usize = 10;
/// With these the next call would fare no better.
const HOPELESS: [&str; 2] = ["broker_unavailable", "database_unavailable"];

/// One of the two, in words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deed {
    path: &'static str,
    doing: &'static str,
    done: &'static str,
}

pub(super) const REPLAY: Deed = Deed { path: "replay", doing: "replaying", done: "replayed" };
pub(super) const DISCARD: Deed = Deed { path: "discard", doing: "discarding", done: "discarded" };

/// `dead-letters replay`, `dead-letters discard`
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Numbers of letters, as `list` shows them
    ids: Vec<i64>,
    #[command(flatten)]
    filter: Filter,
    /// Every open letter, without any filter
    #[arg(long, conflicts_with_all = ["ids", "tenant", "reason", "kind", "since", "until"])]
    all: bool,
    /// So many at most, the oldest of those that match
    #[arg(long, value_name = "NUMBER", conflicts_with = "ids", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Only say which they would be
    #[arg(long)]
    dry_run: bool,
}

/// Settles them; fails when one could not be.
pub(super) async fn settle(client: &Client, deed: Deed, arguments: &Arguments) -> Result<ExitCode, Report> {
    if arguments.ids.is_empty() {
        if arguments.filter.is_empty() && !arguments.all {
            return Err(miette!("say which letters: their numbers, a filter such as --tenant 7, or --all"));
        }
    } else if !arguments.filter.is_empty() {
        return Err(miette!("give the numbers of letters or a filter, not both"));
    }
    let ids = if arguments.ids.is_empty() {
        let mut letters = choose(client, &arguments.filter).await?;
        let limit = arguments.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        letters.truncate(limit);
        if arguments.dry_run {
            return would(deed, &letters);
        }
        letters.iter().map(|letter| letter.id).collect()
    } else {
        arguments.ids.clone()
    };
    if arguments.dry_run {
        let selection = LetterSelection { ids: Some(ids.clone()), dry_run: true, ..LetterSelection::default() };
        let settled: LettersSettled = client.post(&path(deed), &selection).await.into_diagnostic()?;
        output::line(&format!("{} of {} are open and would be {}", settled.matched, ids.len(), deed.done))?;
        return Ok(ExitCode::SUCCESS);
    }
    let sum = in_chunks(client, deed, &ids).await?;
    for LetterFailure { id, code, detail } in sum.failed.iter().take(NAMED) {
        output::remark(&format!("letter {id} stays open: {detail} ({code})"));
    }
    let letters = if sum.done == 1 { "letter" } else { "letters" };
    let mut line = format!("{} {} {letters}", deed.done, sum.done);
    if sum.skipped > 0 {
        line = format!("{line}, {} were not open", sum.skipped);
    }
    if !sum.failed.is_empty() {
        line = format!("{line}, {} stay open", sum.failed.len());
    }
    output::line(&line)?;
    Ok(if sum.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Open letters that match, the oldest first.
async fn choose(client: &Client, filter: &Filter) -> Result<Vec<DeadLetter>, Report> {
    let page = pages(client, &filter.query()?, "open", u64::MAX, None).await.into_diagnostic()?;
    Ok(page.letters.into_iter().rev().collect())
}

fn would(deed: Deed, letters: &[DeadLetter]) -> Result<ExitCode, Report> {
    let mut groups: BTreeMap<(Option<_>, &str), usize> = BTreeMap::new();
    for letter in letters {
        *groups.entry((letter.tenant_id, letter.reason.as_str())).or_default() += 1;
    }
    for ((tenant, reason), count) in groups {
        let tenant = tenant.map_or_else(|| "no tenant".to_owned(), |tenant| format!("tenant {tenant}"));
        output::line(&format!("{tenant}  {reason}  {count}"))?;
    }
    output::line(&format!("{} would be {}", letters.len(), deed.done))?;
    Ok(ExitCode::SUCCESS)
}

async fn in_chunks(client: &Client, deed: Deed, ids: &[i64]) -> Result<LettersSettled, Report> {
    let mut sum = LettersSettled::default();
    let mut progress = Progress::new(deed.doing, Some(ids.len() as u64));
    for chunk in ids.chunks(CHUNK) {
        let selection = LetterSelection { ids: Some(chunk.to_vec()), ..LetterSelection::default() };
        let settled = client.post::<LettersSettled>(&path(deed), &selection).await.into_diagnostic();
        let settled = settled.wrap_err_with(|| {
            format!("interrupted after {} were {}; give the same command again", sum.done, deed.done)
        })?;
        sum.done += settled.done;
        sum.skipped += settled.skipped;
        sum.failed.extend(settled.failed);
        progress.add(chunk.len() as u64);
        if sum.failed.iter().any(|failure| HOPELESS.contains(&failure.code.as_str())) {
            progress.remark("stopped: what is left is as it was; give the same command again later");
            break;
        }
    }
    Ok(sum)
}

fn path(deed: Deed) -> String {
    format!("{PATH}/{}", deed.path)
}
