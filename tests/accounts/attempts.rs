//! What somebody tries who has a tenant's database account, one attempt a line: every one must be refused, or find nothing.

use secrecy::ExposeSecret;
use system_tests::{
    SOON,
    accounts::Installation,
    eventually,
    platform::integration_of,
    refusals::{self, all_refused_as_documented},
};
use tokio_postgres::{Client, SimpleQueryMessage, error::SqlState};

/// An attempt and what came of it.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// In words.
    pub(crate) what: &'static str,
    /// The server's words, or what was found.
    pub(crate) outcome: String,
    /// Whether it got the attacker anything.
    pub(crate) succeeded: bool,
}

impl Attempt {
    /// As the documentation shows it.
    pub(crate) fn documented(&self, outcome: String) -> refusals::Attempt {
        if self.succeeded {
            refusals::Attempt::succeeded(self.what, outcome)
        } else {
            refusals::Attempt::refused(self.what, outcome)
        }
    }
}

/// The attacker is tenant 1, the victim tenant 2. `{R}` is the tenants' role, `{V}` the victim's account, `{W}` the shared
/// worker's role, `{S}` the supervisor's.
const ATTEMPTS: &[(&str, &str)] = &[
    // Reading.
    ("read all raw rows", "SELECT id FROM raw_extraction_data WHERE tenant_id <> 1"),
    ("read the victim's raw row by its number", "SELECT raw_data FROM raw_extraction_data WHERE id = 2"),
    (
        "read by the row's place in the file (ctid)",
        "SELECT id FROM raw_extraction_data WHERE ctid >= '(0,0)' AND tenant_id = 2",
    ),
    (
        "join through a relation table",
        "SELECT w.id FROM projects_wits pw JOIN wits w ON w.id = pw.wit_id WHERE pw.tenant_id <> 1",
    ),
    (
        "read with a condition that reports what it sees",
        "SELECT id FROM projects WHERE (name || 'x')::int > 0 AND tenant_id = 2",
    ),
    ("read the victim's dead letters", "SELECT queue FROM dead_letters WHERE tenant_id = 2"),
    ("read the bodies of dead letters", "SELECT body FROM dead_letters"),
    ("list the tenants", "SELECT id FROM tenants"),
    ("list the accounts", "SELECT name FROM worker_accounts"),
    ("read the integrations", "SELECT id FROM integrations"),
    ("read what was published again", "SELECT raw_data_id FROM reconciliations"),
    ("read the schema's history", "SELECT version FROM etl_schema_history"),
    ("copy a table out", "COPY projects TO STDOUT"),
    ("copy a query out", "COPY (SELECT id FROM projects WHERE tenant_id = 2) TO STDOUT"),
    (
        "read through a cursor",
        "BEGIN; DECLARE c CURSOR FOR SELECT id FROM projects WHERE tenant_id = 2; FETCH ALL FROM c; COMMIT",
    ),
    ("read through a prepared statement", "PREPARE p AS SELECT id FROM projects WHERE tenant_id = 2; EXECUTE p"),
    ("see rows in an execution plan", "EXPLAIN (ANALYZE, VERBOSE) SELECT name FROM projects WHERE tenant_id = 2"),
    ("read column statistics", "SELECT most_common_vals FROM pg_stats WHERE tablename = 'projects'"),
    (
        "read through a view of one's own",
        "CREATE TEMP VIEW mine AS SELECT id FROM projects WHERE tenant_id = 2; SELECT id FROM mine",
    ),
    (
        "read through a temporary table",
        "CREATE TEMP TABLE mine2 AS SELECT id FROM projects WHERE tenant_id = 2; SELECT id FROM mine2",
    ),
    (
        "read in a DO block",
        "DO $$ BEGIN IF EXISTS (SELECT FROM projects WHERE tenant_id = 2) THEN RETURN; END IF; RAISE EXCEPTION 'nothing is visible'; END $$",
    ),
    (
        "read through a function of one's own",
        "CREATE FUNCTION pg_temp.f() RETURNS SETOF bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT id FROM projects WHERE tenant_id = 2'; SELECT pg_temp.f()",
    ),
    // Becoming somebody else.
    ("take the tenants' role", "SET ROLE {R}; SELECT id FROM projects WHERE tenant_id = 2"),
    ("take the shared worker's role", "SET ROLE {W}"),
    ("take the supervisor's role", "SET ROLE {S}"),
    ("take the victim's role", "SET ROLE {V}"),
    ("become the victim", "SET SESSION AUTHORIZATION {V}"),
    (
        "reset everything",
        "RESET ROLE; RESET SESSION AUTHORIZATION; RESET ALL; SELECT id FROM projects WHERE tenant_id = 2",
    ),
    ("switch row-level security off", "SET row_security = off; SELECT id FROM projects"),
    (
        "set the tenant as a setting",
        "SELECT set_config('app.tenant_id', '2', false); SELECT set_config('etl.tenant', '2', false); SELECT id FROM projects WHERE tenant_id = 2",
    ),
    ("set the role as a setting", "SELECT set_config('role', '{V}', false)"),
    ("set the session's account as a setting", "SELECT set_config('session_authorization', '{V}', false)"),
    (
        "put a function in the place of the one that names the tenant",
        "CREATE FUNCTION pg_temp.etl_tenant() RETURNS bigint LANGUAGE sql AS 'SELECT 2::bigint'; SET search_path = pg_temp, public; SELECT id FROM projects WHERE tenant_id = 2",
    ),
    (
        "put a table in the place of the accounts",
        "CREATE TEMP TABLE worker_accounts AS SELECT 2::bigint AS tenant_id, session_user::text AS name, 'current'::text AS state; SET search_path = pg_temp, public; SELECT id FROM public.projects WHERE tenant_id = 2",
    ),
    ("make a function in the schema", "CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE sql AS 'SELECT $1'"),
    ("make a table in the schema", "CREATE TABLE public.mine (x int)"),
    ("make a schema", "CREATE SCHEMA mine"),
    ("change the function that names the tenant", "ALTER FUNCTION public.etl_tenant() RESET search_path"),
    // Writing.
    (
        "insert a row for the victim",
        "INSERT INTO projects (tenant_id, integration_id, external_id, key, name) VALUES (2, 20, 'x', 'X', 'x')",
    ),
    ("update the victim's rows", "UPDATE projects SET name = 'x' WHERE tenant_id = 2 RETURNING id"),
    ("update every row", "UPDATE projects SET name = name WHERE tenant_id <> 1 RETURNING id"),
    ("give an own row to the victim", "UPDATE projects SET tenant_id = 2"),
    (
        "overwrite the victim's row by an upsert",
        "INSERT INTO projects AS t (tenant_id, integration_id, external_id, key, name) VALUES (2, 20, '10000', 'X', 'x') ON CONFLICT (tenant_id, integration_id, external_id) DO UPDATE SET name = 'x' RETURNING id",
    ),
    ("delete the victim's rows", "DELETE FROM projects WHERE tenant_id = 2"),
    ("delete own rows", "DELETE FROM projects"),
    ("empty a table", "TRUNCATE projects"),
    ("lock a whole table", "BEGIN; LOCK TABLE projects IN ACCESS EXCLUSIVE MODE"),
    ("lock the victim's raw row", "BEGIN; SELECT id FROM raw_extraction_data WHERE id = 2 FOR UPDATE"),
    ("mark the victim's raw row", "UPDATE raw_extraction_data SET status = 'completed' WHERE id = 2 RETURNING id"),
    ("change what a raw row holds", "UPDATE raw_extraction_data SET raw_data = '{}'"),
    ("give a raw row to the victim", "UPDATE raw_extraction_data SET tenant_id = 2"),
    (
        "make a raw row",
        "INSERT INTO raw_extraction_data (tenant_id, integration_id, type, raw_data) VALUES (1, 10, 't', '{}')",
    ),
    (
        "merge into the victim's rows",
        "MERGE INTO projects AS t USING (VALUES (2::bigint)) AS n (tenant) ON t.tenant_id = n.tenant WHEN MATCHED THEN UPDATE SET name = 'x' WHEN NOT MATCHED THEN INSERT (tenant_id, integration_id, external_id, key, name) VALUES (2, 20, 'y', 'Y', 'y')",
    ),
    ("copy rows in", "COPY projects (tenant_id, integration_id, external_id, key, name) FROM STDIN"),
    (
        "put a letter into the victim's queue",
        "INSERT INTO dead_letters (tenant_id, queue, body, reason, detail) VALUES (1, 'transform_queue_tenant_2', 'x', 'r', 'd')",
    ),
    (
        "put a letter under the victim's name",
        "INSERT INTO dead_letters (tenant_id, queue, body, reason, detail) VALUES (2, 'transform_queue_tenant_2', 'x', 'r', 'd')",
    ),
    (
        "put a letter under nobody's name",
        "INSERT INTO dead_letters (queue, body, reason, detail) VALUES ('transform_queue', 'x', 'r', 'd')",
    ),
    ("mark a letter as replayed", "UPDATE dead_letters SET replayed_at = now()"),
    (
        "make an account",
        "INSERT INTO worker_accounts (tenant_id, generation, name, state) VALUES (2, 9, session_user, 'current')",
    ),
    ("change whose account it is", "UPDATE worker_accounts SET tenant_id = 2"),
    // Learning what others have.
    (
        "probe for the victim's project by reference",
        "INSERT INTO work_items (tenant_id, integration_id, external_id, key, project_id) VALUES (1, 10, 'p', 'P', 1000)",
    ),
    (
        "probe for the victim's integration by reference",
        "INSERT INTO projects (tenant_id, integration_id, external_id, key, name) VALUES (1, 20, 'p', 'P', 'p')",
    ),
    (
        "probe for taken numbers",
        "INSERT INTO projects (id, tenant_id, integration_id, external_id, key, name) VALUES (1000, 1, 10, 'p', 'P', 'p')",
    ),
    ("set a sequence back", "SELECT setval('projects_id_seq', 1)"),
    ("use a sequence up", "SELECT nextval('projects_id_seq')"),
    // Rights and the machine.
    ("switch the policies off", "ALTER TABLE projects DISABLE ROW LEVEL SECURITY"),
    ("drop a policy", "DROP POLICY etl_own_tenant_{R} ON projects"),
    ("grant oneself a role", "GRANT {W} TO CURRENT_USER"),
    ("take the limit of connections away", "ALTER ROLE CURRENT_USER CONNECTION LIMIT -1"),
    ("make a role", "CREATE ROLE x LOGIN"),
    ("read passwords", "SELECT rolpassword FROM pg_authid"),
    ("read a file of the server", "SELECT pg_read_file('PG_VERSION')"),
    ("list the server's files", "SELECT pg_ls_dir('.')"),
    ("import a file as a large object", "SELECT lo_import('/etc/hostname')"),
    ("run a program", "COPY (SELECT 1) TO PROGRAM 'true'"),
    ("load a library", "LOAD 'plpython3'"),
    ("install an extension", "CREATE EXTENSION dblink"),
    ("end the victim's session", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{V}'"),
    ("cancel the victim's statement", "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = '{V}'"),
    (
        "read the victim's statements",
        "SELECT query FROM pg_stat_activity WHERE usename = '{V}' AND query <> '<insufficient privilege>'",
    ),
    ("set a trigger", "CREATE TRIGGER t BEFORE INSERT ON projects FOR EACH ROW EXECUTE FUNCTION etl_tenants_changed()"),
    ("change the server's settings", "ALTER SYSTEM SET log_statement = 'all'"),
    ("change the database's settings", "ALTER DATABASE postgres SET row_security = off"),
];

/// Attempts that the server refuses for another reason than a missing right (42501, a policy's refusal included). Any other
/// refusal would mean that an attempt was misspelt and proves nothing.
const OTHER_REFUSALS: &[(&str, SqlState)] = &[
    ("read in a DO block", SqlState::RAISE_EXCEPTION),
    ("copy rows in", SqlState::FEATURE_NOT_SUPPORTED),
    ("probe for the victim's project by reference", SqlState::FOREIGN_KEY_VIOLATION),
    ("probe for the victim's integration by reference", SqlState::FOREIGN_KEY_VIOLATION),
];

/// Tries everything on sessions of tenant 1.
pub(crate) async fn attempts(installation: &Installation) -> Vec<Attempt> {
    let mut made = Vec::new();
    for (what, statements) in ATTEMPTS {
        let client = installation.database(1, 1).await.expect("a login as tenant 1");
        let mut text = (*statements).to_owned();
        for (mark, name) in [
            ("{R}", installation.tenant_role()),
            ("{W}", installation.worker_role()),
            ("{S}", installation.supervisor_role()),
            ("{V}", installation.name(2, 1)),
        ] {
            text = text.replace(mark, &name);
        }
        let (succeeded, outcome) = attempt(&client, what, &text).await;
        made.push(Attempt { what, outcome, succeeded });
    }
    made
}

/// It has succeeded where no statement was refused and the last one found or changed something, or where the refusal is not the
/// one that is expected.
async fn attempt(client: &Client, what: &str, statements: &str) -> (bool, String) {
    if statements.contains("STDIN") {
        return match client.copy_in::<_, &[u8]>(statements).await {
            Ok(sink) => {
                let mut sink = Box::pin(sink);
                let row: &[u8] = b"2\t20\tx\tX\tx\n";
                let sent = futures_util::SinkExt::send(&mut sink, row).await;
                let ended = match sent {
                    Ok(()) => sink.as_mut().finish().await,
                    Err(error) => Err(error),
                };
                ended.map_or_else(|error| refused(what, &error), |rows| (rows > 0, format!("{rows} rows")))
            }
            Err(error) => refused(what, &error),
        };
    }
    if statements.contains("STDOUT") {
        return match client.copy_out(statements).await {
            Ok(stream) => {
                let all: Vec<_> = futures_util::StreamExt::collect(Box::pin(stream)).await;
                let foreign = all.iter().flatten().any(|row| String::from_utf8_lossy(row).contains("victim"));
                (foreign, "no row of another tenant".to_owned())
            }
            Err(error) => refused(what, &error),
        };
    }
    match client.simple_query(statements).await {
        Err(error) => refused(what, &error),
        Ok(messages) => {
            // Of several statements it is the rows that count: what a `COMMIT` or `SELECT set_config` answers is nothing.
            let found = |message: &&SimpleQueryMessage| match message {
                // A plan has lines of its own.
                SimpleQueryMessage::Row(row) => {
                    !statements.starts_with("EXPLAIN") || row.get(0).is_some_and(|line| line.contains("victim"))
                }
                _ => false,
            };
            let rows = messages.iter().filter(found).count();
            let harmless = 2 * usize::from(statements.contains("set_config('app"));
            let changed = messages.iter().rev().find_map(|message| match message {
                SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
                _ => None,
            });
            let asks = ["SELECT", "RETURNING"].iter().any(|word| statements.contains(word));
            if asks {
                (rows > harmless, format!("{} rows", rows.saturating_sub(harmless)))
            } else {
                (changed != Some(0), format!("accepted, {changed:?} rows"))
            }
        }
    }
}

fn refused(what: &str, error: &tokio_postgres::Error) -> (bool, String) {
    let expected = OTHER_REFUSALS.iter().find(|(exception, _)| *exception == what);
    let expected = expected.map_or(&SqlState::INSUFFICIENT_PRIVILEGE, |(_, code)| code);
    if error.code() == Some(expected) {
        return (false, words(error));
    }
    (true, format!("refused for a reason that proves nothing: {:?}, {}", error.code(), words(error)))
}

fn words(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

/// Two tenants with rows in many tables; the victim's hold the word "victim".
pub(crate) async fn two_tenants() -> (Installation, system_tests::accounts::AtWork) {
    let installation = Installation::new().await;
    for id in [1, 2] {
        installation.platform.add_tenant(id).await;
        let (integration, name) = (integration_of(id), if id == 2 { "victim" } else { "own" });
        installation
            .platform
            .database
            .client()
            .batch_execute(&format!(
                "INSERT INTO raw_extraction_data (id, tenant_id, integration_id, type, raw_data)
                     VALUES ({id}, {id}, {integration}, 'jira_custom_fields', '{{\"of\": \"{name}\"}}');
                 INSERT INTO projects (id, tenant_id, integration_id, external_id, key, name)
                     VALUES ({id} * 500, {id}, {integration}, '10000', '{name}', '{name}');
                 INSERT INTO wits (id, tenant_id, integration_id, external_id, original_name)
                     VALUES ({id} * 500, {id}, {integration}, '1', '{name}');
                 INSERT INTO projects_wits (tenant_id, integration_id, project_id, wit_id)
                     VALUES ({id}, {integration}, {id} * 500, {id} * 500);
                 INSERT INTO dead_letters (tenant_id, queue, body, reason, detail)
                     VALUES ({id}, 'transform_queue_tenant_{id}', '{name}', 'r', 'd');
                 ANALYZE projects"
            ))
            .await
            .expect("rows");
    }
    let task = installation.start();
    task.want([1, 2]);
    task.ready(&[1, 2], 1, SOON).await;
    (installation, task)
}

#[tokio::test]
async fn a_tenants_login_reads_and_writes_nothing_of_another_tenant_whatever_it_sends() {
    let (installation, _task) = two_tenants().await;
    let victim = installation.database(2, 1).await.expect("a login as tenant 2");
    let before = fingerprint(&installation).await;
    let attempts = attempts(&installation).await;
    let database = installation.settings.database.as_ref().expect("a database").url.expose_secret().to_owned();
    let name = database.rsplit('/').next().unwrap_or_default().to_owned();
    let names = [
        (installation.tenant_role(), "etl_tenant"),
        (installation.worker_role(), "etl_worker"),
        (installation.supervisor_role(), "etl_supervisor"),
        (installation.name(2, 1), "tenant_2"),
        (name, "etl"),
    ];
    let usual = |text: &str| names.iter().fold(text.to_owned(), |text, (name, usual)| text.replace(name, usual));
    all_refused_as_documented(
        "in the database",
        &attempts.iter().map(|attempt| attempt.documented(usual(&attempt.outcome))).collect::<Vec<_>>(),
    );
    assert_eq!(fingerprint(&installation).await, before, "nothing has changed");
    eventually("the victim's session is still there", SOON, async || {
        victim.query_one("SELECT 1", &[]).await.map(drop).map_err(|error| error.to_string())
    })
    .await;
}

#[tokio::test]
async fn a_tenants_login_does_see_its_own_rows() {
    let (installation, _task) = two_tenants().await;
    let client = installation.database(1, 1).await.expect("a login");
    for table in ["raw_extraction_data", "projects", "wits", "projects_wits"] {
        let rows = client.query(&format!("SELECT tenant_id FROM {table}"), &[]).await.expect("rows");
        assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<i64>>(), [1], "{table}");
    }
}

/// Two references that fail must not tell whether what they name belongs to somebody or does not exist.
#[tokio::test]
async fn a_reference_to_what_another_tenant_has_fails_like_one_to_what_nobody_has() {
    let (installation, _task) = two_tenants().await;
    let client = installation.database(1, 1).await.expect("a login");
    let mut answers = Vec::new();
    for (integration, project) in [(10, 1000), (10, 999_999), (20, 500), (777, 500)] {
        let insert = format!(
            "INSERT INTO work_items (tenant_id, integration_id, external_id, key, project_id)
             VALUES (1, {integration}, 'p', 'P', {project})"
        );
        let error = client.batch_execute(&insert).await.expect_err("a reference that is wrong");
        let error = error.as_db_error().expect("the server's answer");
        answers.push((error.message().to_owned(), error.detail().map(|text| text.replace(char::is_numeric, ""))));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[2], answers[3]);
}

async fn fingerprint(installation: &Installation) -> Vec<String> {
    let admin = installation.platform.database.connect_as_admin().await;
    let mut rows = Vec::new();
    for table in
        ["raw_extraction_data", "projects", "wits", "projects_wits", "dead_letters", "worker_accounts", "work_items"]
    {
        let select = format!("SELECT t::text FROM {table} AS t WHERE tenant_id IS DISTINCT FROM 1 ORDER BY 1");
        rows.extend(admin.query(&select, &[]).await.expect("rows").iter().map(|row| row.get(0)));
    }
    rows
}
