//! Grants: what there is, what there should be, and the statements that make one the other.

use std::collections::{BTreeMap, BTreeSet};

use postgres_protocol::escape::escape_identifier;
use tokio_postgres::{Client, Error};

use super::rights::Rights;

/// One privilege on a table, or on one of its columns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Grant {
    pub(super) table: String,
    /// `SELECT`, …
    pub(super) privilege: String,
    /// `None`: the whole table.
    pub(super) column: Option<String>,
}

/// The columns of every table of the schema.
pub(super) type Tables = BTreeMap<String, Vec<String>>;

const TABLES: &str = "
SELECT c.relname::text, array_agg(a.attname::text ORDER BY a.attnum)
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = $1::text::regnamespace AND c.relkind IN ('r', 'p') GROUP BY c.relname";

// Views and sequences as well: nobody is to have more than what stands in the table of rights.
const GRANTS: &str = "
SELECT c.relname::text, g.privilege_type, NULL::text
FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS g
WHERE c.relnamespace = $1::text::regnamespace AND c.relkind <> 'S' AND g.grantee = $2::text::regrole
UNION ALL
SELECT c.relname::text, g.privilege_type, a.attname::text
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid CROSS JOIN LATERAL aclexplode(a.attacl) AS g
WHERE c.relnamespace = $1::text::regnamespace AND c.relkind <> 'S' AND g.grantee = $2::text::regrole";

// Numbers that a default takes from a sequence; those of an identity column need no right.
const SEQUENCES: &str = "
SELECT s.relname::text, t.relname::text
FROM pg_class AS s JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.deptype = 'a'
    AND d.refclassid = 'pg_class'::regclass
JOIN pg_class AS t ON t.oid = d.refobjid
WHERE s.relkind = 'S' AND s.relnamespace = $1::text::regnamespace 
    AND CASE s.relkind WHEN 'S' THEN NOT has_sequence_privilege($2, s.oid, 'USAGE') END";

pub(super) async fn tables(client: &Client, schema: &str) -> Result<Tables, Error> {
    let rows = client.query(TABLES, &[&escape_identifier(schema)]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// What has to be granted to a role, and revoked from it.
pub(super) async fn statements(
    client: &Client,
    schema: &str,
    role: &str,
    rights: &[Rights],
    tables: &Tables,
) -> Result<Vec<String>, Error> {
    let name = escape_identifier(schema);
    let rows = client.query(GRANTS, &[&name, &escape_identifier(role)]).await?;
    let present =
        rows.iter().map(|row| Grant { table: row.get(0), privilege: row.get(1), column: row.get(2) }).collect();
    let mut statements = difference(schema, role, &desired(rights, tables), &present);
    for row in client.query(SEQUENCES, &[&name, &role]).await? {
        let (sequence, table): (String, String) = (row.get(0), row.get(1));
        if rights.iter().any(|rights| rights.table == table && rights.insert != super::rights::Columns::None) {
            statements.push(format!(
                "GRANT USAGE ON SEQUENCE {name}.{} TO {}",
                escape_identifier(&sequence),
                escape_identifier(role)
            ));
        }
    }
    Ok(statements)
}

fn desired(rights: &[Rights], tables: &Tables) -> BTreeSet<Grant> {
    use super::rights::Columns;
    let mut grants = BTreeSet::new();
    for rights in rights {
        let Some(columns) = tables.get(rights.table) else { continue };
        let mut grant = |privilege: &str, column: Option<&String>| {
            let (table, privilege) = (rights.table.to_owned(), privilege.to_owned());
            grants.insert(Grant { table, privilege, column: column.cloned() });
        };
        for (privilege, some) in [("SELECT", rights.select), ("INSERT", rights.insert), ("UPDATE", rights.update)] {
            if some == Columns::All {
                grant(privilege, None);
            } else {
                columns.iter().filter(|column| some.include(column)).for_each(|column| grant(privilege, Some(column)));
            }
        }
        if rights.delete {
            grant("DELETE", None);
        }
    }
    grants
}

fn difference(schema: &str, role: &str, desired: &BTreeSet<Grant>, present: &BTreeSet<Grant>) -> Vec<String> {
    let said = |grants: Vec<&Grant>, verb: &str, towards: &str| -> Vec<String> {
        let mut by_table: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        let mut statements = Vec::new();
        let on = |table: &str| {
            format!(
                "ON {}.{} {towards} {}",
                escape_identifier(schema),
                escape_identifier(table),
                escape_identifier(role)
            )
        };
        for grant in grants {
            match &grant.column {
                Some(column) => by_table.entry((&grant.table, &grant.privilege)).or_default().push(column),
                None => statements.push(format!("{verb} {} {}", grant.privilege, on(&grant.table))),
            }
        }
        statements.extend(by_table.into_iter().map(|((table, privilege), columns)| {
            let columns: Vec<String> = columns.into_iter().map(escape_identifier).collect();
            format!("{verb} {privilege} ({}) {}", columns.join(", "), on(table))
        }));
        statements
    };
    // A right on the whole table is taken away together with those on its columns, so what is missing is granted afterwards.
    let mut statements = said(present.difference(desired).collect(), "REVOKE", "FROM");
    let shaken: BTreeSet<(&str, &str)> = present
        .difference(desired)
        .filter(|grant| grant.column.is_none())
        .map(|grant| (grant.table.as_str(), grant.privilege.as_str()))
        .collect();
    let missing = desired
        .iter()
        .filter(|grant| !present.contains(grant) || shaken.contains(&(grant.table.as_str(), grant.privilege.as_str())));
    statements.extend(said(missing.collect(), "GRANT", "TO"));
    statements
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::database::rights::{SUPERVISOR, WORKER};

    fn grant(privilege: &str, column: Option<&str>) -> Grant {
        Grant { table: "t".to_owned(), privilege: privilege.to_owned(), column: column.map(str::to_owned) }
    }

    #[test]
    fn what_is_there_is_left_alone_and_what_is_too_much_goes_first() {
        let wanted = BTreeSet::from([grant("SELECT", None), grant("UPDATE", Some("a")), grant("UPDATE", Some("b"))]);
        assert!(difference("public", "r", &wanted, &wanted).is_empty());
        let there = BTreeSet::from([grant("UPDATE", None), grant("UPDATE", Some("a")), grant("SELECT", None)]);
        assert_eq!(
            difference("public", "r", &wanted, &there),
            [
                "REVOKE UPDATE ON \"public\".\"t\" FROM \"r\"",
                "GRANT UPDATE (\"a\", \"b\") ON \"public\".\"t\" TO \"r\""
            ]
        );
        let there = BTreeSet::from([grant("UPDATE", Some("c"))]);
        assert_eq!(
            difference("public", "r", &wanted, &there),
            [
                "REVOKE UPDATE (\"c\") ON \"public\".\"t\" FROM \"r\"",
                "GRANT SELECT ON \"public\".\"t\" TO \"r\"",
                "GRANT UPDATE (\"a\", \"b\") ON \"public\".\"t\" TO \"r\""
            ]
        );
    }

    #[test]
    fn nobody_may_choose_the_number_of_a_row_or_give_it_to_another_tenant() {
        let columns = ["id", "tenant_id", "name", "status"].map(str::to_owned).to_vec();
        for rights in WORKER.iter().chain(SUPERVISOR) {
            let tables = Tables::from([(rights.table.to_owned(), columns.clone())]);
            for grant in desired(&[*rights], &tables) {
                let column = grant.column.as_deref();
                assert!(
                    !(grant.privilege == "UPDATE" && matches!(column, None | Some("id" | "tenant_id"))),
                    "{grant:?}"
                );
                assert!(
                    !(grant.privilege == "INSERT" && matches!(column, None | Some("id")))
                        || ["reconciliations", "worker_settings", "worker_events"].contains(&rights.table),
                    "{grant:?}"
                );
            }
        }
    }
}
