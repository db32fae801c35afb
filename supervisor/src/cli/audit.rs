//! Who did what.

use std::{
    process::ExitCode,
    time::{Duration, SystemTime},
};

use clap::ValueEnum;
use etl_shared::{
    TenantId,
    api::{AuditEntry, AuditPage, AuditResult},
};
use miette::{IntoDiagnostic, Report};
use url::form_urlencoded::Serializer;

use super::{Place, output};
use crate::clock::rfc3339;

/// Entries that are asked for at once.
const PAGE: u64 = 1_000;

/// `audit`
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only what is about this tenant
    tenant: Option<TenantId>,
    /// Only what happened since then: a time such as 2026-01-31T12:00:00Z, or how long ago, such as 2h
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<SystemTime>,
    /// Only what this actor did, such as `token 3f…`
    #[arg(long)]
    actor: Option<String>,
    /// Only this action, such as workers.stop
    #[arg(long)]
    action: Option<String>,
    /// So many at most
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// How to show them
    #[arg(short, long, value_name = "FORM", default_value = "text")]
    output: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A line each
    Text,
    /// The API's own words
    Json,
}

/// Shows the newest entries.
pub(super) async fn audit(place: &Place, arguments: &Arguments) -> Result<ExitCode, Report> {
    let client = place.client()?;
    let mut shown = AuditPage { entries: Vec::new(), next_cursor: None };
    loop {
        let left = arguments.limit.saturating_sub(shown.entries.len() as u64);
        let page: AuditPage =
            client.get(&path(arguments, left.min(PAGE), shown.next_cursor)).await.into_diagnostic()?;
        shown.entries.extend(page.entries);
        shown.next_cursor = page.next_cursor;
        if shown.next_cursor.is_none() || shown.entries.len() as u64 >= arguments.limit {
            break;
        }
    }
    match arguments.output {
        Form::Text => shown.entries.iter().try_for_each(|entry| output::line(&line(entry)))?,
        Form::Json => output::line(&serde_json::to_string_pretty(&shown).into_diagnostic()?)?,
    }
    if shown.entries.is_empty() {
        output::remark("No entry matches.");
    }
    if shown.next_cursor.is_some() {
        output::remark("There are older ones: --limit shows more of them.");
    }
    Ok(ExitCode::SUCCESS)
}

fn path(arguments: &Arguments, limit: u64, cursor: Option<i64>) -> String {
    let mut query = Serializer::new("/api/v1/admin/audit?".to_owned());
    query.append_pair("limit", &limit.to_string());
    let tenant = arguments.tenant.map(|tenant| tenant.to_string());
    let (since, cursor) = (arguments.since.map(rfc3339), cursor.map(|cursor| cursor.to_string()));
    let (actor, action) = (arguments.actor.clone(), arguments.action.clone());
    for (name, value) in
        [("tenant_id", tenant), ("since", since), ("actor", actor), ("action", action), ("cursor", cursor)]
    {
        if let Some(value) = value {
            query.append_pair(name, &value);
        }
    }
    query.finish().replacen("?&", "?", 1)
}

fn line(entry: &AuditEntry) -> String {
    let tenant = entry.tenant_id.map_or_else(|| "-".to_owned(), |tenant| tenant.to_string());
    let result = match entry.result {
        AuditResult::Ok => "ok",
        AuditResult::Refused => "refused",
        AuditResult::Failed => "failed",
    };
    let AuditEntry { at, actor, source, action, status, detail, .. } = entry;
    format!("{at}  {result:<7} {status}  {action:<22} tenant {tenant:<6} {actor} from {source}  {detail}")
}

/// A moment, or how long ago it was.
fn since(text: &str) -> Result<SystemTime, String> {
    if let Ok(time) = humantime::parse_rfc3339_weak(text) {
        return Ok(time);
    }
    let ago: Duration = humantime::parse_duration(text).map_err(|_| "write 2026-01-31T12:00:00Z, or 2h".to_owned())?;
    SystemTime::now().checked_sub(ago).ok_or_else(|| "that is before all time".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn what_is_asked_for_stands_in_the_query_escaped() {
        let line = Line::parse_from(["audit", "7", "--actor", "jwt a&b", "--since", "2026-01-31T12:00:00Z"]);
        assert_eq!(
            path(&line.arguments, 5, Some(9)),
            "/api/v1/admin/audit?limit=5&tenant_id=7&since=2026-01-31T12%3A00%3A00.000Z&actor=jwt+a%26b&cursor=9"
        );
        assert!(since("2h").unwrap() < SystemTime::now() && since("yesterday").is_err());
    }
}
