//! What is set for single tenants: `config`, `scale`, `pause`, `resume`.
//!
//! Each reads what is set, changes one thing of it, and writes it back only where nobody else has changed anything in between.

use std::{
    process::ExitCode,
    time::{Duration, SystemTime},
};

use etl_shared::{
    QueueType, TenantId,
    api::{ChangeSettings, QueueSettings, SettingsDocument},
};
use miette::{IntoDiagnostic, Report, miette};

use super::{Client, Place, output};
use crate::{clock::rfc3339, runtime::overrides::without_end};

mod scale;
mod show;

pub(super) use scale::{Scale, scale};

const CONFIG: &str = "/api/v1/admin/workers/config";

/// `config`
#[derive(Debug, clap::Args)]
pub(super) struct Config {
    /// A tenant's number
    tenant: TenantId,
    /// How to show it
    #[arg(short, long, value_name = "FORM", default_value = "text")]
    output: show::Form,
}

/// `pause`
#[derive(Debug, clap::Args)]
pub(super) struct Pause {
    /// A tenant's number
    tenant: TenantId,
    /// For so long, such as 2h; without --for and --until: until somebody resumes it
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    time: Option<Duration>,
    /// Until this moment, in UTC, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_rfc3339_weak, conflicts_with = "time")]
    until: Option<SystemTime>,
    /// Only the workers of this kind
    #[arg(long, value_name = "TYPE")]
    queue_type: Option<QueueType>,
}

/// `resume`
#[derive(Debug, clap::Args)]
pub(super) struct Resume {
    /// A tenant's number
    tenant: TenantId,
    /// Only the workers of this kind
    #[arg(long, value_name = "TYPE")]
    queue_type: Option<QueueType>,
}

/// Shows what is set, and what holds.
pub(super) async fn config(place: &Place, arguments: &Config) -> Result<ExitCode, Report> {
    let document = read(&place.client()?, arguments.tenant).await?;
    show::document(&document, arguments.output)?;
    Ok(ExitCode::SUCCESS)
}

/// Has no workers running until some time; messages wait.
pub(super) async fn pause(place: &Place, arguments: &Pause) -> Result<ExitCode, Report> {
    let until = match (arguments.time, arguments.until) {
        (Some(time), _) => SystemTime::now().checked_add(time).unwrap_or_else(without_end).min(without_end()),
        (None, until) => until.unwrap_or_else(without_end),
    };
    let (client, tenant) = (place.client()?, arguments.tenant);
    let text = rfc3339(until);
    change(
        &client,
        tenant,
        |document| Ok(kinds(document, arguments.queue_type.as_ref())),
        |settings| {
            settings.paused_until = Some(text.clone());
        },
    )
    .await?;
    let until = if until >= without_end() { String::new() } else { format!(" until {text}") };
    output::line(&format!("tenant {tenant} is paused{until}; `etl-supervisor resume {tenant}` ends it"))?;
    Ok(ExitCode::SUCCESS)
}

/// Ends a pause.
pub(super) async fn resume(place: &Place, arguments: &Resume) -> Result<ExitCode, Report> {
    let (client, tenant) = (place.client()?, arguments.tenant);
    let before = change(
        &client,
        tenant,
        |document| Ok(kinds(document, arguments.queue_type.as_ref())),
        |settings| {
            settings.paused_until = None;
        },
    )
    .await?;
    let was_paused = before.effective.values().any(|holds| holds.paused);
    let said = if was_paused { "is not paused any longer" } else { "was not paused" };
    output::line(&format!("tenant {tenant} {said}; see `etl-supervisor status {tenant}`"))?;
    Ok(ExitCode::SUCCESS)
}

/// Every kind of workers, or the one that is named.
fn kinds(document: &SettingsDocument, named: Option<&QueueType>) -> Vec<QueueType> {
    match named {
        Some(named) => vec![named.clone()],
        None => document.effective.keys().cloned().collect(),
    }
}

/// The kind that is named, `transform`, or the only one there is.
fn one_kind(document: &SettingsDocument, named: Option<&QueueType>) -> Result<Vec<QueueType>, Report> {
    let mut kinds = document.effective.keys();
    match (named, document.effective.len()) {
        (Some(named), _) => Ok(vec![named.clone()]),
        (None, 1) => Ok(kinds.cloned().collect()),
        (None, _) => kinds.find(|kind| kind.as_str() == "transform").map(|kind| vec![kind.clone()]).ok_or_else(|| {
            let known: Vec<&str> = document.effective.keys().map(QueueType::as_str).collect();
            miette!("say with --queue-type which workers are meant: {}", known.join(", "))
        }),
    }
}

async fn read(client: &Client, tenant: TenantId) -> Result<SettingsDocument, Report> {
    client.get(&format!("{CONFIG}?tenant_id={tenant}")).await.into_diagnostic()
}

/// Changes the settings of these kinds of workers; returns how they were before.
async fn change(
    client: &Client,
    tenant: TenantId,
    kinds: impl Fn(&SettingsDocument) -> Result<Vec<QueueType>, Report>,
    edit: impl Fn(&mut QueueSettings),
) -> Result<SettingsDocument, Report> {
    let before = read(client, tenant).await?;
    let of = |kind: QueueType| {
        let mut settings = before.queues.get(&kind).cloned().unwrap_or_default();
        edit(&mut settings);
        (kind, settings)
    };
    let queues = kinds(&before)?.into_iter().map(of).collect();
    let wanted = ChangeSettings { tenant_id: Some(tenant), queues };
    let tag = format!("\"{}\"", before.revision);
    client.put::<SettingsDocument>(CONFIG, &wanted, &tag).await.into_diagnostic()?;
    Ok(before)
}
