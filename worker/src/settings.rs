//! The command line.

#![allow(clippy::doc_markdown, reason = "these comments are the help text that people read on a terminal")]

use std::time::Duration;

use clap::{Args, Parser, ValueEnum};
use etl_shared::{QueueName, TenantId, telemetry::LogFormat};

use crate::{broker::QueueKind, job::transform::SpecialFields};

/// Turns the raw documents that a queue's messages name into rows of the final tables.
///
/// Addresses and secrets come from what the supervisor hands over, else from files `amqp_url` and `database_url` in
/// $CREDENTIALS_DIRECTORY, else from $AMQP_URL and $DATABASE_URL. $ETL_LOG sets the log level (such as debug).
///
/// Exit codes: 0 drained · 64 wrong arguments · 65 the raw row of --raw-data-id could not be transformed · 69 broker, database,
/// queue, schema or login not available · 70 internal error · 78 wrong configuration.
///
/// Signals: TERM and INT finish what is in flight, a second one or QUIT leaves at once; TSTP takes no new messages, CONT takes
/// them again; USR1 switches debug lines on and off.
#[derive(Debug, Parser)]
#[command(name = "transform-worker", version, max_term_width = 100)]
pub struct Settings {
    /// The queue to consume; its name says which tenant it serves (transform_queue_tenant_7), any other name serves all.
    #[arg(long, value_name = "NAME", required_unless_present = "raw_data_id")]
    pub queue: Option<QueueName>,

    /// Most messages that the broker delivers ahead; fewer while little arrives.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..))]
    pub prefetch: u16,

    /// Most messages in one transaction; fewer while little arrives.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=512))]
    pub batch: u16,

    /// How often a message may fail before it becomes a dead letter.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub attempts: u32,

    /// At the start: how long to try for broker and database before leaving with 69.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub connect_timeout: Duration,

    /// Close an unused database connection after this.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub database_idle: Duration,

    /// Longest wait for a row that another worker has locked.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub lock_timeout: Duration,

    /// Longest time for one SQL statement.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub statement_timeout: Duration,

    /// Create the queue where it does not exist (durable, no expiry).
    #[arg(long, value_name = "KIND", num_args = 0..=1, require_equals = true, default_missing_value = "quorum")]
    pub create_queue: Option<QueueKind>,

    /// How log lines are written: auto is human on a terminal and json elsewhere.
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    pub log_format: LogForm,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub manual: Manual,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub jira: Jira,
}

/// Runs by hand.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Runs by hand")]
pub struct Manual {
    /// Leave with 0 when the queue is empty.
    #[arg(long)]
    pub once: bool,

    /// Leave with 0 after so many messages.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_messages: Option<u64>,

    /// Transform this one raw row without the broker, and leave.
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i64).range(1..), conflicts_with_all = ["once", "max_messages"])]
    pub raw_data_id: Option<i64>,

    /// The tenant of --raw-data-id, where no queue of one tenant is given.
    #[arg(long, value_name = "ID", requires = "raw_data_id")]
    pub tenant: Option<TenantId>,

    /// Print the rows as JSON lines, keep nothing, leave the message where it is; looks at what is in the queue and leaves.
    #[arg(long)]
    pub dry_run: bool,
}

/// What differs between Jira sites.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Jira's special fields")]
pub struct Jira {
    /// External id of the field that holds the team.
    #[arg(long, value_name = "ID", default_value = "customfield_10001", value_parser = field)]
    pub team_field: String,
    /// External id of the field that holds the development information.
    #[arg(long, value_name = "ID", default_value = "customfield_10000", value_parser = field)]
    pub development_field: String,
    /// External id of the field that holds the sprints.
    #[arg(long, value_name = "ID", default_value = "customfield_10021", value_parser = field)]
    pub sprints_field: String,
    /// External id of the field that holds the story points.
    #[arg(long, value_name = "ID", default_value = "customfield_10024", value_parser = field)]
    pub story_points_field: String,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LogForm {
    /// Human on a terminal, JSON otherwise.
    Auto,
    /// One readable line each.
    Human,
    /// One JSON object each.
    Json,
}

impl From<LogForm> for LogFormat {
    fn from(form: LogForm) -> Self {
        match form {
            LogForm::Auto => Self::Auto,
            LogForm::Human => Self::Human,
            LogForm::Json => Self::Json,
        }
    }
}

impl From<&Jira> for SpecialFields {
    fn from(jira: &Jira) -> Self {
        Self {
            team: jira.team_field.clone(),
            development: jira.development_field.clone(),
            sprints: jira.sprints_field.clone(),
            story_points: jira.story_points_field.clone(),
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("expected a time longer than nothing, written like 30s, 5m or 250ms".to_owned()),
    }
}

fn field(text: &str) -> Result<String, String> {
    let number = text.strip_prefix("customfield_").unwrap_or_default();
    if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err("expected an id like customfield_10024".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(words: &str) -> Result<Settings, clap::Error> {
        Settings::try_parse_from(std::iter::once("transform-worker").chain(words.split_whitespace()))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Settings::command().debug_assert();
    }

    #[test]
    fn a_queue_is_enough_and_the_defaults_are_those_of_the_contract() {
        let settings = parse("--queue transform_queue_tenant_7").unwrap();
        assert_eq!(settings.queue.unwrap().tenant().map(TenantId::get), Some(7));
        assert_eq!((settings.prefetch, settings.batch, settings.attempts), (1000, 500, 3));
        assert_eq!(settings.create_queue, None);
        assert_eq!(SpecialFields::from(&settings.jira), SpecialFields::default());
        assert_eq!(parse("--queue q --create-queue").unwrap().create_queue, Some(QueueKind::Quorum));
        assert_eq!(parse("--queue q --create-queue=classic").unwrap().create_queue, Some(QueueKind::Classic));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_hint() {
        for (words, hint) in [
            ("", "--queue"),
            ("--queue q --prefetch 0", "prefetch"),
            ("--queue q --batch 513", "512"),
            ("--queue q --connect-timeout 5", "5m"),
            ("--queue q --connect-timeout 0s", "longer than nothing"),
            ("--queue q --tenant 3", "--raw-data-id"),
            ("--queue q --raw-data-id 3 --once", "--once"),
            ("--queue q --raw-data-id 0", "raw-data-id"),
            ("--queue q --team-field 10001", "customfield_10024"),
            ("--queue q --colour", "colour"),
        ] {
            let error = parse(words).unwrap_err().to_string();
            assert!(error.contains(hint), "{words}: {error}");
        }
        assert!(parse("--raw-data-id 3 --tenant 1 --dry-run").is_ok());
    }
}
