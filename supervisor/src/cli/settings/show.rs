//! One tenant's settings for a person, or for a program.

use bytesize::ByteSize;
use clap::ValueEnum;
use etl_shared::api::{EffectiveSettings, QueueSettings, SettingsDocument};
use miette::{IntoDiagnostic, Report};

use crate::cli::output;

/// How they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// A line for each kind of workers; * marks what is set for the tenant
    Text,
    /// The API's own words
    Json,
}

pub(super) fn document(document: &SettingsDocument, form: Form) -> Result<(), Report> {
    if form == Form::Json {
        return output::line(&serde_json::to_string_pretty(document).into_diagnostic()?);
    }
    let nothing = QueueSettings::default();
    for (kind, holds) in &document.effective {
        output::line(&line(kind.as_str(), document.queues.get(kind).unwrap_or(&nothing), holds))?;
    }
    let by = document.updated_by.as_deref().unwrap_or_default();
    match &document.updated_at {
        Some(at) => output::remark(&format!("* set for tenant {}, changed last at {at} by {by}", document.tenant_id)),
        None => {
            let tenant = document.tenant_id;
            output::remark(&format!("Nothing is set for tenant {tenant}: this is the configuration."));
        }
    }
    Ok(())
}

fn line(kind: &str, set: &QueueSettings, holds: &EffectiveSettings) -> String {
    let mark = |is_set: bool| if is_set { "*" } else { "" };
    let pause = match &set.paused_until {
        Some(until) if holds.paused && until.starts_with("9999-") => ", paused until somebody resumes it*".to_owned(),
        Some(until) if holds.paused => format!(", paused until {until}*"),
        _ => String::new(),
    };
    format!(
        "{kind:<12} {} workers{}, at most {}{}, memory {}{} of {}{pause}",
        holds.workers,
        mark(set.workers.is_some()),
        holds.workers_max,
        mark(set.workers_max.is_some()),
        ByteSize(holds.memory_soft_bytes).display().iec(),
        mark(set.memory_soft_bytes.is_some()),
        ByteSize(holds.memory_max_bytes).display().iec(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_told_apart_from_what_is_configured() {
        const MIB: u64 = 1024 * 1024;
        let holds = EffectiveSettings {
            workers: 3,
            workers_max: 8,
            memory_soft_bytes: 64 * MIB,
            memory_max_bytes: 128 * MIB,
            paused: true,
        };
        let until = Some("2026-01-31T12:00:00.000Z".to_owned());
        let set = QueueSettings { workers: Some(3), paused_until: until, ..QueueSettings::default() };
        assert_eq!(
            line("transform", &set, &holds),
            "transform    3 workers*, at most 8, memory 64.0 MiB of 128.0 MiB, paused until 2026-01-31T12:00:00.000Z*"
        );
        let over = EffectiveSettings { paused: false, ..holds };
        assert!(!line("transform", &set, &over).contains("paused"));
    }
}
