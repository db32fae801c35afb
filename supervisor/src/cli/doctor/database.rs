//! The database: reachable, migrated, and able to name the tenants.

use std::time::Duration;

use etl_shared::{TenantId, migrations};
use miette::{IntoDiagnostic, Report};
use tokio::time;
use tokio_postgres::{Client, error::SqlState, types::Type};

use super::{raw_rows, room};
use crate::{
    cli::{
        database,
        finding::{Finding, in_one_line},
    },
    settings::{Database, Settings},
};

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Tables without which there is nothing to do.
const TABLES: [&str; 3] = ["tenants", "integrations", "raw_extraction_data"];
/// Where it is written down what has been migrated.
const HISTORY: &str = "etl_schema_history";

/// What was found, and the tenants.
pub(super) async fn look(settings: &Settings) -> (Vec<Finding>, Vec<TenantId>) {
    let Some(database) = &settings.database else { return (Vec::new(), Vec::new()) };
    let looked = time::timeout(PATIENCE, ask(settings, database)).await;
    looked.unwrap_or_else(|_| {
        let detail = format!("has not answered for {} seconds", PATIENCE.as_secs());
        (vec![Finding::fail("database", detail, "look at its load and its locks")], Vec::new())
    })
}

async fn ask(settings: &Settings, database: &Database) -> (Vec<Finding>, Vec<TenantId>) {
    let client = match database::connect(database).await {
        Ok(client) => client,
        Err(report) => {
            let advice = "start it, or correct [database] url and password_file";
            return (vec![Finding::fail("database", in_one_line(&report), advice)], Vec::new());
        }
    };
    let mut findings = vec![match text(&client, "SHOW server_version").await {
        Ok(version) => Finding::ok("database", format!("PostgreSQL {version} answers")),
        Err(report) => Finding::fail("database", in_one_line(&report), "see its log"),
    }];
    findings.push(schema(&client, database.migrate).await);
    findings.extend(tables(&client).await);
    // A list in the configuration is used instead.
    if let Some(listed) = &settings.tenants {
        let listed: Vec<_> = listed.0.iter().copied().collect();
        findings.extend(raw_rows::look(&client, settings, &listed).await);
        findings.push(room::connections(&client, settings, listed.len()).await);
        return (findings, Vec::new());
    }
    let (more, tenants) = known_tenants(&client, database).await;
    findings.extend(more);
    findings.extend(raw_rows::look(&client, settings, &tenants).await);
    findings.push(room::connections(&client, settings, tenants.len()).await);
    (findings, tenants)
}

async fn known_tenants(client: &Client, database: &Database) -> (Vec<Finding>, Vec<TenantId>) {
    let mut findings = Vec::new();
    match tenants(client, &database.tenants_query).await {
        Ok(tenants) if tenants.is_empty() => {
            let advice = "workers start as soon as there are tenants; is database.tenants_query the right one?";
            findings.push(Finding::warn("tenants query", "returns no tenant", advice));
            (findings, tenants)
        }
        Ok(tenants) => {
            findings.push(Finding::ok("tenants query", format!("returns {} tenants", tenants.len())));
            (findings, tenants)
        }
        // A database that is still to be migrated is a normal state.
        Err(Failure::NoTable(detail)) => {
            findings.push(Finding::warn(
                "tenants query",
                detail,
                "run `etl-supervisor migrate`, or correct database.tenants_query",
            ));
            (findings, Vec::new())
        }
        Err(Failure::Other(detail)) => {
            let advice = "correct database.tenants_query: its first column must be positive whole numbers";
            findings.push(Finding::fail("tenants query", detail, advice));
            (findings, Vec::new())
        }
    }
}

async fn schema(client: &Client, migrated_at_start: bool) -> Finding {
    if !exists(client, HISTORY).await {
        let detail = format!("has never been migrated: there is no table {HISTORY}");
        let advice = "run `etl-supervisor migrate`";
        return if migrated_at_start {
            Finding::warn("schema", detail, format!("{advice}, or leave it to the next start of the supervisor"))
        } else {
            Finding::fail("schema", detail, advice)
        };
    }
    let newest = format!("SELECT 'V' || version || ' ' || name FROM {HISTORY} ORDER BY version DESC LIMIT 1");
    match text(client, &newest).await {
        Ok(applied) => match migrations::newest() {
            Some(newest) if newest != applied => Finding::warn(
                "schema",
                format!("migrated up to {applied}; this program brings {newest}"),
                "run `etl-supervisor migrate`, or use the program that the database was migrated with",
            ),
            _ => Finding::ok("schema", format!("up to date ({applied})")),
        },
        Err(report) => Finding::fail("schema", in_one_line(&report), "let the supervisor's role read it"),
    }
}

async fn tables(client: &Client) -> Vec<Finding> {
    let mut missing = Vec::new();
    for table in TABLES {
        if !exists(client, table).await {
            missing.push(table);
        }
    }
    vec![if missing.is_empty() {
        Finding::ok("tables", TABLES.join(", "))
    } else {
        Finding::warn("tables", format!("missing: {}", missing.join(", ")), "run `etl-supervisor migrate`")
    }]
}

async fn exists(client: &Client, table: &str) -> bool {
    client.query_one("SELECT to_regclass($1::text) IS NOT NULL", &[&table]).await.is_ok_and(|row| row.get(0))
}

async fn text(client: &Client, query: &str) -> Result<String, Report> {
    client.query_one(query, &[]).await.and_then(|row| row.try_get(0)).into_diagnostic()
}

/// Why there is no list of tenants.
enum Failure {
    NoTable(String),
    Other(String),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let words = error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
        if error.code() == Some(&SqlState::UNDEFINED_TABLE) { Self::NoTable(words) } else { Self::Other(words) }
    }
}

async fn tenants(client: &Client, query: &str) -> Result<Vec<TenantId>, Failure> {
    let statement = client.prepare(query).await?;
    // A second one is what people call them.
    let Some(column) = statement.columns().first() else {
        return Err(Failure::Other("returns no column".to_owned()));
    };
    let kind = column.type_();
    let mut tenants = Vec::new();
    for row in client.query(&statement, &[]).await? {
        let id = match *kind {
            Type::INT8 => row.try_get::<_, Option<i64>>(0)?,
            Type::INT4 => row.try_get::<_, Option<i32>>(0)?.map(i64::from),
            Type::INT2 => row.try_get::<_, Option<i16>>(0)?.map(i64::from),
            _ => return Err(Failure::Other(format!("returns a column of type {kind}"))),
        };
        let id = id.ok_or_else(|| Failure::Other("returns NULL".to_owned()))?;
        tenants.push(TenantId::try_from(id).map_err(|error| Failure::Other(error.to_string()))?);
    }
    Ok(tenants)
}
