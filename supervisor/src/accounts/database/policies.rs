//! Row-level security: which policies there are, which there should be.

use postgres_protocol::escape::escape_identifier;
use tokio_postgres::{Client, Error};

/// Lets everybody with rights on the table see what they saw before there was any policy.
const EVERYBODY: &str = "etl_everybody";
/// Keeps a tenant's account to its tenant.
const OWN: &str = "etl_own_tenant";
/// Keeps a tenant's letters to its queues.
const OWN_QUEUE: &str = "etl_own_queue";

/// Keeps the accounts of one role's members to their tenants. Each role has policies of its own: another installation in the same
/// database, or what this one was called before, goes on being kept in its place.
pub(super) fn own_tenant(tenant_role: &str) -> String {
    of(OWN, tenant_role)
}

fn of(policy: &str, role: &str) -> String {
    format!("{policy}_{role}")
}

// `tenants` is about tenants as well, by its own number.
const STATE: &str = "
SELECT c.relname::text, CASE WHEN c.relname = 'tenants' THEN 'id' ELSE 'tenant_id' END, c.relrowsecurity,
    c.relforcerowsecurity, pg_get_userbyid(c.relowner)::text,
    array(SELECT p.polname::text || ':' || p.polpermissive::text || ':' || p.polcmd::text || ':'
            || array_to_string(array(SELECT CASE r WHEN 0 THEN 'public' ELSE pg_get_userbyid(r)::text END FROM unnest(p.polroles) AS r), ',')
            || ':' || coalesce(pg_get_expr(p.polqual, p.polrelid), '') || ':'
            || coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '')
        FROM pg_policy AS p WHERE p.polrelid = c.oid),
    EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'queue')
FROM pg_class AS c
WHERE c.relnamespace = $1::text::regnamespace AND c.relkind IN ('r', 'p')
    AND (c.relname = 'tenants' OR EXISTS (SELECT FROM pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped))
ORDER BY c.relname";

/// Whom the walls are for.
pub(super) struct Whom<'a> {
    pub(super) schema: &'a str,
    pub(super) tenant: &'a str,
    pub(super) worker: &'a str,
    pub(super) supervisor: &'a str,
}

/// The statements that are missing. The client's search path must be empty, so that expressions are shown in full.
pub(super) async fn statements(client: &Client, whom: &Whom<'_>) -> Result<Vec<String>, Error> {
    let schema = escape_identifier(whom.schema);
    let mut statements = Vec::new();
    for row in client.query(STATE, &[&schema]).await? {
        let (name, column): (String, String) = (row.get(0), row.get(1));
        let (enabled, forced, owner): (bool, bool, String) = (row.get(2), row.get(3), row.get(4));
        let present: Vec<String> = row.get(5);
        let table = format!("{schema}.{}", escape_identifier(&name));
        let ours = |policy: &str| present.iter().find(|found| found.starts_with(&format!("{policy}:")));
        let mut policy = |name: &str, permissive: bool, roles: &str, shown_role: &str, condition: &str, shown: &str| {
            let wanted = if shown_role.is_empty() {
                None
            } else {
                Some(squeezed(&format!("{name}:{permissive}:*:{shown_role}:{shown}:{shown}")))
            };
            let policy = escape_identifier(name);
            match ours(name) {
                Some(found) if wanted.is_none_or(|wanted| squeezed(found) == wanted) => return,
                Some(_) => statements.push(format!("DROP POLICY {policy} ON {table}")),
                None => {}
            }
            let kind = if permissive { "PERMISSIVE" } else { "RESTRICTIVE" };
            statements.push(format!(
                "CREATE POLICY {policy} ON {table} AS {kind} FOR ALL TO {roles} USING ({condition}) WITH CHECK ({condition})"
            ));
        };
        let tenant = escape_identifier(whom.tenant);
        let function = format!("{}.etl_tenant()", whom.schema);
        policy(
            &own_tenant(whom.tenant),
            false,
            &tenant,
            whom.tenant,
            &format!("{} = (SELECT {schema}.etl_tenant())", escape_identifier(&column)),
            &format!("({column} = ( SELECT {function} AS etl_tenant))"),
        );
        if row.get(6) {
            let pattern = "'^[a-z][a-z0-9_]*_queue_tenant_'";
            policy(
                &of(OWN_QUEUE, whom.tenant),
                false,
                &tenant,
                whom.tenant,
                &format!("queue ~ (SELECT {pattern} || {schema}.etl_tenant() || '$')"),
                &format!("(queue ~ ( SELECT (({pattern}::text || {function}) || '$'::text)))"),
            );
        }
        // Where somebody has policies of their own, ours must not open what theirs close: it is for our roles alone, and for
        // the owner, whom nothing has kept out until now.
        let public = ours(EVERYBODY).is_some_and(|found| found.contains(":public:"));
        let narrow = of(EVERYBODY, whom.tenant);
        let (everybody, roles) = if ours(&narrow).is_some() || (enabled && !public) {
            let [worker, supervisor, owner] = [whom.worker, whom.supervisor, &owner].map(escape_identifier);
            let ours = format!("{tenant}, {worker}, {supervisor}");
            (narrow, if forced { ours } else { format!("{ours}, {owner}") })
        } else {
            (EVERYBODY.to_owned(), "PUBLIC".to_owned())
        };
        policy(&everybody, true, &roles, "", "true", "true");
        if !enabled {
            statements.push(format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"));
        }
        if !forced {
            statements.push(format!("ALTER TABLE {table} FORCE ROW LEVEL SECURITY"));
        }
    }
    Ok(statements)
}

fn squeezed(text: &str) -> String {
    text.chars().filter(|character| !character.is_whitespace() && *character != '"').collect()
}
