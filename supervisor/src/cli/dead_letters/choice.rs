//! Which letters are meant, and reading them page by page.

use std::time::SystemTime;

use etl_shared::{TenantId, api::DeadLetterPage};
use miette::{Report, miette};
use url::form_urlencoded::Serializer;

use super::PATH;
use crate::{
    cli::{Client, ClientError},
    clock::rfc3339,
};

/// Most letters of a page, as the API has it.
const PAGE: u64 = 500;

/// Limits to letters that satisfy all of these.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
pub(super) struct Filter {
    /// Of this tenant
    #[arg(long, value_name = "NUMBER")]
    pub(super) tenant: Option<TenantId>,
    /// Given up for this reason, such as `transform_failed`
    #[arg(long)]
    pub(super) reason: Option<String>,
    /// Naming this data type, such as `jira_custom_fields`
    #[arg(long = "type", value_name = "TYPE")]
    pub(super) kind: Option<String>,
    /// Given up since then: 2h (ago), or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "WHEN")]
    pub(super) since: Option<String>,
    /// Given up before then, written in the same way
    #[arg(long, value_name = "WHEN")]
    pub(super) until: Option<String>,
}

impl Filter {
    /// Nothing is limited.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// As parameters of a request.
    pub(super) fn query(&self) -> Result<String, Report> {
        let mut query = Serializer::new(String::new());
        for (name, value) in [
            ("tenant_id", self.tenant.map(|tenant| tenant.to_string())),
            ("reason", self.reason.clone()),
            ("type", self.kind.clone()),
            ("since", self.since.as_deref().map(|text| when("--since", text)).transpose()?),
            ("until", self.until.as_deref().map(|text| when("--until", text)).transpose()?),
        ] {
            if let Some(value) = value {
                query.append_pair(name, &value);
            }
        }
        Ok(query.finish())
    }
}

/// A time, or how long ago.
fn when(option: &str, text: &str) -> Result<String, Report> {
    if let Ok(time) = humantime::parse_rfc3339_weak(text) {
        return Ok(rfc3339(time));
    }
    let ago = humantime::parse_duration(text).ok().and_then(|ago| SystemTime::now().checked_sub(ago));
    ago.map(rfc3339).ok_or_else(|| {
        miette!("{option} {text:?}: write how long ago, such as 2h or 3days, or a time, such as 2026-01-31T12:00:00Z")
    })
}

/// At most so many letters, the newest first, as one page.
pub(super) async fn pages(
    client: &Client,
    query: &str,
    state: &str,
    limit: u64,
    mut cursor: Option<i64>,
) -> Result<DeadLetterPage, ClientError> {
    let mut letters = Vec::new();
    loop {
        let left = limit.saturating_sub(letters.len() as u64);
        let mut path = format!("{PATH}?{query}&state={state}&limit={}", left.min(PAGE));
        if let Some(cursor) = cursor {
            path = format!("{path}&cursor={cursor}");
        }
        let page: DeadLetterPage = client.get(&path).await?;
        letters.extend(page.letters);
        cursor = page.next_cursor;
        if cursor.is_none() || letters.len() as u64 >= limit {
            return Ok(DeadLetterPage { letters, next_cursor: cursor });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_becomes_parameters_with_their_escapes() {
        let filter = Filter {
            tenant: TenantId::try_from(7).ok(),
            reason: Some("a&b=c d".to_owned()),
            since: Some("2026-01-31T12:00:00Z".to_owned()),
            ..Filter::default()
        };
        assert_eq!(filter.query().unwrap(), "tenant_id=7&reason=a%26b%3Dc+d&since=2026-01-31T12%3A00%3A00.000Z");
        assert!(Filter::default().is_empty() && !filter.is_empty());
        assert_eq!(Filter::default().query().unwrap(), "");
    }

    #[test]
    fn a_time_is_a_date_or_so_long_ago() {
        assert!(when("--since", "2h").unwrap() < rfc3339(SystemTime::now()));
        assert_eq!(when("--since", "2026-01-31T12:00:00Z").unwrap(), "2026-01-31T12:00:00.000Z");
        let error = when("--until", "yesterday").unwrap_err().to_string();
        assert!(error.contains("--until") && error.contains("3days"), "{error}");
    }
}
