-- What people set for single tenants, what has happened, and who did what.

-- Beyond the configuration file; null: as the configuration says.
CREATE TABLE IF NOT EXISTS worker_settings (
    tenant_id    bigint NOT NULL,
    queue_type   text NOT NULL CHECK (queue_type ~ '^[a-z][a-z0-9_]*$'),
    workers      int CHECK (workers BETWEEN 0 AND 64),
    -- The most that the tenant's operator may ask for.
    workers_max  int CHECK (workers_max BETWEEN 0 AND 64),
    -- Bytes.
    memory_soft  bigint CHECK (memory_soft > 0),
    -- Until then there are no workers.
    paused_until timestamptz,
    -- Another one after every change, whoever makes it; greater than before.
    revision     bigint NOT NULL DEFAULT 1,
    updated_at   timestamptz NOT NULL DEFAULT now(),
    updated_by   text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, queue_type)
);

-- A change by hand is a change like any other: it is noted when it was made, and by whom.
CREATE OR REPLACE FUNCTION etl_settings_noted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A tenant's revision is the greatest of its rows: each change makes it greater, whatever the clock says.
    NEW.revision := greatest(
        (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
        (SELECT max(revision) + 1 FROM worker_settings WHERE tenant_id = NEW.tenant_id)
    );
    NEW.updated_at := now();
    NEW.updated_by := coalesce(nullif(current_setting('etl.settings_by', true), ''), session_user);
    RETURN NEW;
END
$$;
DROP TRIGGER IF EXISTS etl_settings_noted ON worker_settings;
CREATE TRIGGER etl_settings_noted BEFORE INSERT OR UPDATE ON worker_settings
    FOR EACH ROW EXECUTE FUNCTION etl_settings_noted();

-- A row that is taken away is a change of those that stay.
CREATE OR REPLACE FUNCTION etl_settings_taken_away() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE worker_settings SET revision = 0 WHERE (tenant_id, queue_type) IN (
        SELECT tenant_id, queue_type FROM worker_settings WHERE tenant_id = OLD.tenant_id LIMIT 1);
    RETURN NULL;
END
$$;
DROP TRIGGER IF EXISTS etl_settings_taken_away ON worker_settings;
CREATE TRIGGER etl_settings_taken_away AFTER DELETE OR UPDATE OF tenant_id ON worker_settings
    FOR EACH ROW EXECUTE FUNCTION etl_settings_taken_away();

-- The supervisor listens where it listens for tenants, so that a change holds at once.
CREATE OR REPLACE FUNCTION etl_settings_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('etl_tenants', '');
    RETURN NULL;
END
$$;
DROP TRIGGER IF EXISTS etl_settings_changed ON worker_settings;
CREATE TRIGGER etl_settings_changed AFTER INSERT OR UPDATE OR DELETE ON worker_settings
    FOR EACH STATEMENT EXECUTE FUNCTION etl_settings_changed();

-- What has happened to workers, the newest with the highest id. Ids are the supervisor's: microseconds since 1970, made unique.
CREATE TABLE IF NOT EXISTS worker_events (
    id             bigint NOT NULL,
    -- Which supervisor, where several use one database.
    source         text NOT NULL,
    at             timestamptz NOT NULL,
    kind           text NOT NULL,
    tenant_id      bigint,
    worker         text,
    incarnation    bigint,
    from_state     text,
    to_state       text,
    verdict        text,
    reason         text NOT NULL,
    by             text,
    correlation_id text,
    PRIMARY KEY (id, source)
);
CREATE INDEX IF NOT EXISTS worker_events_tenant_id_idx ON worker_events (tenant_id, id);
CREATE INDEX IF NOT EXISTS worker_events_at_idx ON worker_events (at);
-- The newest of one supervisor, asked for with every new connection.
CREATE INDEX IF NOT EXISTS worker_events_source_idx ON worker_events (source, id);

-- Who did what, or tried to.
CREATE TABLE IF NOT EXISTS audit_log (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Made by whoever writes the entry down first, so that writing it twice makes one.
    entry          text NOT NULL UNIQUE,
    at             timestamptz NOT NULL,
    actor          text NOT NULL,
    role           text,
    source         text NOT NULL,
    action         text NOT NULL,
    tenant_id      bigint,
    result         text NOT NULL CHECK (result IN ('ok', 'refused', 'failed')),
    status         int NOT NULL,
    detail         jsonb NOT NULL DEFAULT '{}',
    correlation_id text
);
CREATE INDEX IF NOT EXISTS audit_log_tenant_id_idx ON audit_log (tenant_id, id);
CREATE INDEX IF NOT EXISTS audit_log_at_idx ON audit_log (at);
