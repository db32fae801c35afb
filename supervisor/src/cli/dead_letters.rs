//! Dead letters: list, show, replay, discard.

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use etl_shared::api::{DeadLetterDetail, DeadLetterPage};
use miette::{IntoDiagnostic, Report};

use super::{Place, output};

mod choice;
mod settle;
mod show;

use choice::{Filter, pages};

const PATH: &str = "/api/v1/admin/dead-letters";

/// `dead-letters`
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show them, the newest first
    List {
        #[command(flatten)]
        filter: Filter,
        /// What has become of them
        #[arg(long, default_value = "open")]
        state: State,
        /// So many at most
        #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
        limit: u64,
        /// Only those before the letter of this number: the next page
        #[arg(long, value_name = "ID")]
        cursor: Option<i64>,
        /// How to show them
        #[arg(short, long, value_name = "FORM", default_value = "text")]
        output: Form,
    },
    /// Show everything about one: message, headers, and how its worker ended
    Show {
        /// Its number
        id: i64,
        /// How to show it
        #[arg(short, long, value_name = "FORM", default_value = "text")]
        output: Form,
    },
    /// Publish messages again; interrupt it as you like and do it again, nothing is lost or doubled
    Replay(settle::Arguments),
    /// Mark letters as done without doing anything; they are kept
    Discard(settle::Arguments),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    /// Waiting for a decision
    Open,
    /// Published again
    Replayed,
    /// Marked as done
    Discarded,
    /// Whatever has become of them
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A line each
    Text,
    /// The API's own words
    Json,
}

/// Carries out what was asked for.
pub(super) async fn dead_letters(place: &Place, arguments: &Arguments) -> Result<ExitCode, Report> {
    let client = place.client()?;
    match &arguments.what {
        What::List { filter, state, limit, cursor, output: form } => {
            let state = match state {
                State::Open => "open",
                State::Replayed => "replayed",
                State::Discarded => "discarded",
                State::All => "all",
            };
            let page = pages(&client, &filter.query()?, state, *limit, *cursor).await.into_diagnostic()?;
            list(&page, *form)?;
        }
        What::Show { id, output: form } => {
            let letter: DeadLetterDetail = client.get(&format!("{PATH}/{id}")).await.into_diagnostic()?;
            match form {
                Form::Text => output::bytes(show::whole(&letter).as_bytes())?,
                Form::Json => output::line(&serde_json::to_string_pretty(&letter).into_diagnostic()?)?,
            }
        }
        What::Replay(arguments) => return settle::settle(&client, settle::REPLAY, arguments).await,
        What::Discard(arguments) => return settle::settle(&client, settle::DISCARD, arguments).await,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(page: &DeadLetterPage, form: Form) -> Result<(), Report> {
    match form {
        Form::Text => output::bytes(show::lines(&page.letters, output::in_colour()).as_bytes())?,
        Form::Json => output::line(&serde_json::to_string_pretty(page).into_diagnostic()?)?,
    }
    if page.letters.is_empty() {
        output::remark("No dead letter matches.");
    }
    if let Some(cursor) = page.next_cursor {
        output::remark(&format!("There are more: --limit shows more of them, --cursor {cursor} the next ones."));
    }
    Ok(())
}
