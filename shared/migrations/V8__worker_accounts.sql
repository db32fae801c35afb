-- Tenants' own accounts: which there are, and whose session is at work. Rights and row-level security are no part of the schema:
-- the supervisor sets them up where tenants have accounts of their own, and nothing changes for anybody else before that.

-- An account is a user of the broker and a role of the database with the same name.
CREATE TABLE IF NOT EXISTS worker_accounts (
    -- No reference: the accounts of a tenant that was deleted must still be known, or nobody would take them away.
    tenant_id       bigint NOT NULL,
    generation      int NOT NULL CHECK (generation > 0),
    name            text NOT NULL UNIQUE,
    -- leaving: to be deleted, and of no use any more. retired: deleted; the newest of them stays, so that a tenant that comes back
    -- never gets a generation, and with it a password, that it had before.
    state           text NOT NULL CHECK (state IN ('current', 'next', 'leaving', 'retired')),
    -- Which master key the passwords come from; set once broker and database have the account.
    key_fingerprint text,
    -- Which database made it: accounts belong to servers, and a copy of this table must not take them over or away. Null: this one.
    home            text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    changed_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, generation)
);
CREATE UNIQUE INDEX IF NOT EXISTS worker_accounts_one_current ON worker_accounts (tenant_id) WHERE state = 'current';
CREATE UNIQUE INDEX IF NOT EXISTS worker_accounts_one_next ON worker_accounts (tenant_id) WHERE state = 'next';

-- The tenant of the account that has logged in. Neither SET ROLE nor any setting changes that: session_user is decided at the login.
-- Null, which equals nothing, for every account that is none of a tenant. Everything is named with its schema, and the temporary
-- schema comes last, so that no session can put something else in its place.
DO $migration$
BEGIN
    EXECUTE format($definition$
        CREATE OR REPLACE FUNCTION %1$I.etl_tenant() RETURNS bigint
        LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
        BEGIN
            RETURN (SELECT a.tenant_id FROM %1$I.worker_accounts AS a
                    WHERE a.name = session_user AND a.state IN ('current', 'next'));
        END
        $body$
    $definition$, current_schema());
END
$migration$;
REVOKE EXECUTE ON FUNCTION etl_tenant() FROM PUBLIC;

-- Repositories are found by their name without regard to case. Under row-level security an index on lower(…) cannot be used, because
-- that function might tell somebody what it sees; an index on a stored column can.
ALTER TABLE repositories ADD COLUMN IF NOT EXISTS full_name_lower text GENERATED ALWAYS AS (lower(full_name)) STORED;
ALTER TABLE prs ADD COLUMN IF NOT EXISTS repo_full_name_lower text GENERATED ALWAYS AS (lower(repo_full_name)) STORED;
CREATE INDEX IF NOT EXISTS repositories_full_name_lower_idx ON repositories (full_name_lower, tenant_id, integration_id);
CREATE INDEX IF NOT EXISTS prs_unlinked_lower_idx ON prs (repo_full_name_lower, tenant_id, integration_id)
    WHERE repository_id IS NULL;
-- Those on lower(…) stay for workers of the version before; a later migration may drop them.
