//! The walls themselves: complete, made again when somebody has torn them, and no change for anybody else.

use etl_supervisor::accounts::{AccountNews, Names, Walls, WallsError};
use system_tests::{
    SOON,
    accounts::{Installation, tenant},
    eventually,
};
use tokio_postgres::Client;

async fn admin(installation: &Installation) -> Client {
    use secrecy::ExposeSecret;
    let database = installation.settings.database.as_ref().expect("a database");
    let url = database.admin_url().expect("a URL");
    installation.database_at(url.expose_secret()).await.expect("a login")
}

fn walls(installation: &Installation) -> Walls {
    Walls::new(&Names::of(&installation.settings.credentials))
}

#[tokio::test]
async fn every_table_keeps_tenants_apart_or_is_none_of_their_business() {
    let installation = Installation::new().await;
    let mut client = admin(&installation).await;
    walls(&installation).raise(&mut client).await.expect("walls");
    let select = "
        SELECT c.relname::text,
            has_any_column_privilege($1::text, c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')
                OR has_table_privilege($1, c.oid, 'DELETE, TRUNCATE, TRIGGER'),
            c.relrowsecurity AND c.relforcerowsecurity AND EXISTS (SELECT FROM pg_policy AS p
                WHERE p.polrelid = c.oid AND NOT p.polpermissive AND p.polcmd = '*' AND p.polname = 'etl_own_tenant_' || $1),
            EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id')
        FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')";
    let rows = client.query(select, &[&installation.tenant_role()]).await.expect("tables");
    assert!(rows.len() > 25, "{} tables", rows.len());
    for row in rows {
        let (table, open, walled, has_tenant): (String, bool, bool, bool) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        assert!(walled || !open, "{table} is open to every tenant");
        assert!(walled || !has_tenant, "{table} has rows of tenants and no wall");
    }
    for none in ["tenants", "integrations", "worker_accounts", "reconciliations", "etl_schema_history", "workflows"] {
        let may = "SELECT has_any_column_privilege($1, $2, 'SELECT, INSERT, UPDATE')";
        let row = client.query_one(may, &[&installation.tenant_role(), &none]).await.expect("an answer");
        assert!(!row.get::<_, bool>(0), "tenants have rights on {none}");
    }
}

#[tokio::test]
async fn walls_that_stand_are_left_alone_and_torn_ones_are_mended() {
    let installation = Installation::new().await;
    let (mut client, walls) = (admin(&installation).await, walls(&installation));
    assert!(!walls.raise(&mut client).await.expect("walls").is_empty());
    assert_eq!(walls.raise(&mut client).await.expect("walls"), Vec::<String>::new());
    let role = installation.tenant_role();
    for (damage, repairs) in [
        ("ALTER TABLE projects DISABLE ROW LEVEL SECURITY".to_owned(), 1),
        ("ALTER TABLE projects NO FORCE ROW LEVEL SECURITY".to_owned(), 1),
        (format!("DROP POLICY etl_own_tenant_{role} ON wits"), 1),
        (format!("ALTER POLICY etl_own_tenant_{role} ON wits USING (true)"), 2),
        (format!("ALTER POLICY etl_own_queue_{role} ON dead_letters WITH CHECK (true)"), 2),
        (format!("GRANT DELETE ON projects TO {role}"), 1),
        (format!("GRANT SELECT ON worker_accounts TO {role}"), 1),
        (format!("GRANT UPDATE ON raw_extraction_data TO {role}"), 2),
        (format!("REVOKE SELECT ON statuses FROM {role}"), 1),
        ("CREATE TABLE later (tenant_id bigint)".to_owned(), 4),
    ] {
        client.batch_execute(&damage).await.expect("damage");
        let said = walls.raise(&mut client).await.expect("walls");
        assert_eq!(said.len(), repairs, "{damage}: {said:#?}");
        assert_eq!(walls.raise(&mut client).await.expect("walls"), Vec::<String>::new(), "{damage}");
    }
}

/// Another name for the roles, or another installation in the same database: who has an account already stays in its place.
#[tokio::test]
async fn walls_for_another_role_leave_those_that_stand_alone() {
    let (installation, _task) = Installation::with_tenants(&[1, 2]).await;
    let owner = installation.platform.database.client();
    owner
        .batch_execute(
            "INSERT INTO projects (tenant_id, integration_id, external_id, key, name)
                 VALUES (1, 10, '1', 'A', 'a'), (2, 20, '1', 'B', 'b')",
        )
        .await
        .expect("rows");
    let mut credentials = installation.settings.credentials.clone();
    credentials.roles_prefix.push_str("other_");
    let mut client = admin(&installation).await;
    let others = Walls::new(&Names::of(&credentials));
    others.raise(&mut client).await.expect("walls");
    assert_eq!(others.raise(&mut client).await.expect("walls"), Vec::<String>::new());
    assert_eq!(walls(&installation).raise(&mut client).await.expect("walls"), Vec::<String>::new(), "nobody fights");
    let tenant = installation.database(1, 1).await.expect("a login");
    let rows = tenant.query("SELECT tenant_id FROM projects", &[]).await.expect("rows");
    assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<i64>>(), [1]);
}

#[tokio::test]
async fn what_is_open_to_everybody_is_named_and_no_tenant_gets_an_account() {
    let installation = Installation::new().await;
    let (mut client, walls) = (admin(&installation).await, walls(&installation));
    walls.raise(&mut client).await.expect("walls");
    for (opening, closing, named) in [
        (
            "CREATE VIEW everything AS SELECT * FROM projects; GRANT SELECT ON everything TO PUBLIC",
            "DROP VIEW everything",
            "everything",
        ),
        ("CREATE TABLE notes (x int); GRANT INSERT ON notes TO PUBLIC", "DROP TABLE notes", "notes"),
        (
            "CREATE FUNCTION peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM projects'",
            "DROP FUNCTION peek()",
            "peek",
        ),
    ] {
        client.batch_execute(opening).await.expect("an opening");
        client.batch_execute("ALTER TABLE projects DISABLE ROW LEVEL SECURITY").await.expect("damage");
        let Err(WallsError::Open(open)) = walls.raise(&mut client).await else { panic!("{named} was not noticed") };
        assert!(open.iter().any(|text| text.contains(named)), "{open:?}");
        let mended = "SELECT relrowsecurity FROM pg_class WHERE oid = 'projects'::regclass";
        assert!(client.query_one(mended, &[]).await.expect("a table").get::<_, bool>(0), "mended in spite of {named}");
        client.batch_execute(closing).await.expect("no opening");
    }
    walls.raise(&mut client).await.expect("walls");
}

/// While something is open to everybody, a tenant that leaves still loses its accounts, and nobody gets new ones until it is closed.
#[tokio::test]
async fn walls_that_are_open_stop_new_accounts_and_no_revocation() {
    let (installation, task) = Installation::with_tenants(&[1, 2]).await;
    drop(task);
    let owner = installation.platform.database.client();
    owner.batch_execute("CREATE TABLE notes (x int); GRANT INSERT ON notes TO PUBLIC").await.expect("an opening");
    let task = installation.start();
    task.want([2, 3]);
    eventually("the new tenant gets none, and the reason is said", SOON, async || {
        let news = task.news();
        let refused = |word: &AccountNews| match word {
            AccountNews::Missing { tenant: whose, why } => *whose == tenant(3) && why.contains("notes"),
            _ => false,
        };
        if news.iter().any(refused) { Ok(()) } else { Err(format!("{news:?}")) }
    })
    .await;
    assert!(installation.database(3, 1).await.is_err(), "no account");
    task.says(AccountNews::Revoked { tenant: tenant(1) }, SOON).await;
    assert!(installation.database(1, 1).await.is_err(), "revoked");
    installation.database(2, 1).await.expect("the account of a tenant that stays");
    owner.batch_execute("DROP TABLE notes").await.expect("no opening");
    task.ready(&[3], 1, SOON).await;
}

/// The platform's own backend, which owns the tables, a reader of its own, and policies that it made itself.
#[tokio::test]
async fn accounts_that_were_there_before_see_what_they_saw() {
    let installation = Installation::new().await;
    let superuser = installation.platform.database.connect_as_admin().await;
    installation.platform.add_tenant(1).await;
    installation.platform.add_tenant(2).await;
    let reader = format!("{}reader", installation.tenant_role());
    superuser
        .batch_execute(&format!(
            "INSERT INTO projects (tenant_id, integration_id, external_id, key, name)
                 VALUES (1, 10, '1', 'A', 'a'), (2, 20, '1', 'B', 'b');
             INSERT INTO wits (tenant_id, integration_id, external_id, original_name) VALUES (1, 10, '1', 'a'), (2, 20, '1', 'b');
             CREATE ROLE {reader}; GRANT SELECT ON projects, wits TO {reader};
             ALTER TABLE wits ENABLE ROW LEVEL SECURITY;
             CREATE POLICY theirs ON wits TO {reader} USING (tenant_id = 1)"
        ))
        .await
        .expect("a platform with accounts of its own");
    let owner = installation.platform.database.client();
    let mut client = admin(&installation).await;
    walls(&installation).raise(&mut client).await.expect("walls");
    for (table, by_reader) in [("projects", 2_i64), ("wits", 1)] {
        let count = format!("SELECT count(*) FROM {table}");
        assert_eq!(owner.query_one(&count, &[]).await.expect("a count").get::<_, i64>(0), 2, "the owner, {table}");
        superuser.batch_execute(&format!("SET ROLE {reader}")).await.expect("a role");
        assert_eq!(superuser.query_one(&count, &[]).await.expect("a count").get::<_, i64>(0), by_reader, "{table}");
        superuser.batch_execute("RESET ROLE").await.expect("a role");
    }
    owner.batch_execute("UPDATE projects SET name = 'c'; DELETE FROM wits").await.expect("the owner writes");
}

/// A connection into another database of the same server finds neither rights nor rows.
#[tokio::test]
async fn an_account_is_worth_nothing_in_another_database() {
    let installation = Installation::new().await;
    let task = installation.start();
    task.want([1]);
    task.ready(&[1], 1, SOON).await;
    let other = system_tests::Platform::new().await;
    other.add_tenant(1).await;
    let (server, _) =
        installation.database_url(1, 1).rsplit_once('/').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a URL");
    let (_, name) = other.database.url().rsplit_once('/').expect("a URL");
    let client = installation.database_at(&format!("{server}/{name}")).await.expect("a login");
    for table in ["projects", "tenants", "raw_extraction_data", "worker_accounts"] {
        let error = client.query(&format!("SELECT 1 FROM {table}"), &[]).await.expect_err("no rights");
        assert!(error.as_db_error().expect("an answer").message().contains("permission denied"), "{table}: {error}");
    }
}

/// Finding a repository by its name uses its index under row-level security as well.
#[tokio::test]
async fn look_ups_by_name_use_their_index_under_row_level_security() {
    let installation = Installation::new().await;
    let platform = &installation.platform;
    platform.add_tenant(1).await;
    platform
        .database
        .client()
        .batch_execute(
            "INSERT INTO repositories (tenant_id, integration_id, external_id, full_name)
                 SELECT 1, 10, n, 'Org/Repository-' || n FROM generate_series(1, 20000) AS n;
             INSERT INTO prs (tenant_id, integration_id, external_id, repo_full_name)
                 SELECT 1, 10, n, 'Org/Repository-' || n FROM generate_series(1, 20000) AS n;
             ANALYZE repositories; ANALYZE prs",
        )
        .await
        .expect("rows");
    let task = installation.start();
    task.want([1]);
    task.ready(&[1], 1, SOON).await;
    let client = installation.database(1, 1).await.expect("a login");
    for (query, index) in [
        (
            "SELECT 1 FROM repositories WHERE (tenant_id, integration_id, full_name_lower) = (1, 10, 'org/repository-7')",
            "repositories_full_name_lower_idx",
        ),
        (
            "SELECT 1 FROM prs WHERE (tenant_id, integration_id, repo_full_name_lower) = (1, 10, 'org/repository-7')
             AND repository_id IS NULL",
            "prs_unlinked_lower_idx",
        ),
    ] {
        let rows = client.query(&format!("EXPLAIN (ANALYZE, BUFFERS) {query}"), &[]).await.expect("a plan");
        let plan = rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>().join("\n");
        println!("{plan}");
        assert!(plan.contains(index) && !plan.contains("Rows Removed"), "{plan}");
    }
}
