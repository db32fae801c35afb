//! Before any tenant gets an account: is there a way past the walls? Asked of the catalogue, so that what a later migration, an
//! older platform or an extension has left open is found as well.

use tokio_postgres::{Client, Error};

use super::policies;

/// Every place that is open, in words; none means that the walls stand. `$1` is the tenants' role, `$2` the schema's name, `$3` the policy's.
const OPEN: &str = "
WITH open_schemas AS (
    SELECT n.oid, n.nspname FROM pg_namespace AS n
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n.nspname !~ '^pg_(temp|toast_temp)_'
      AND has_schema_privilege($1, n.oid, 'USAGE')
), of_extensions AS (
    SELECT objid AS oid FROM pg_depend WHERE deptype = 'e'
)
SELECT format('%s is a superuser, may log in or may pass row-level security', $1)
FROM pg_roles WHERE rolname = $1 AND (rolsuper OR rolcanlogin OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)
UNION ALL
SELECT format('%s is a member of %s', $1, pg_get_userbyid(m.roleid))
FROM pg_auth_members AS m WHERE m.member = (SELECT oid FROM pg_roles WHERE rolname = $1)
UNION ALL
SELECT format('everybody may make things in the schema %s: REVOKE CREATE ON SCHEMA %1$s FROM PUBLIC', s.nspname)
FROM open_schemas AS s WHERE has_schema_privilege($1, s.oid, 'CREATE')
UNION ALL
SELECT format('tenants may use %s.%s, which no policy keeps apart: REVOKE ALL ON %1$s.%2$s FROM PUBLIC', s.nspname, c.relname)
FROM open_schemas AS s JOIN pg_class AS c ON c.relnamespace = s.oid
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.oid NOT IN (SELECT oid FROM of_extensions)
  AND has_any_column_privilege($1, c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')
  AND NOT (s.nspname = $2 AND c.relrowsecurity AND c.relforcerowsecurity AND EXISTS (
      SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid AND NOT p.polpermissive AND p.polcmd = '*'
      AND p.polroles = ARRAY[(SELECT oid FROM pg_roles WHERE rolname = $1)] AND p.polname = $3))
UNION ALL
SELECT format('tenants may empty or set triggers on %s.%s, or delete from it: REVOKE ALL ON %1$s.%2$s FROM PUBLIC', s.nspname, c.relname)
FROM open_schemas AS s JOIN pg_class AS c ON c.relnamespace = s.oid
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.oid NOT IN (SELECT oid FROM of_extensions)
  AND has_table_privilege($1, c.oid, 'TRUNCATE, TRIGGER, DELETE')
UNION ALL
SELECT format('tenants may run %s with the rights of %s: REVOKE EXECUTE ON FUNCTION %1$s FROM PUBLIC',
    f.oid::regprocedure, pg_get_userbyid(f.proowner))
FROM open_schemas AS s JOIN pg_proc AS f ON f.pronamespace = s.oid
WHERE f.prosecdef AND f.oid NOT IN (SELECT oid FROM of_extensions) AND NOT (s.nspname = $2 AND f.proname = 'etl_tenant')
  AND has_function_privilege($1, f.oid, 'EXECUTE')
ORDER BY 1";

pub(super) async fn open(client: &Client, tenant_role: &str, schema: &str) -> Result<Vec<String>, Error> {
    let rows = client.query(OPEN, &[&tenant_role, &schema, &policies::own_tenant(tenant_role)]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
