-- What operators ask of the dead letters, and which raw rows were published again.

-- A message as its letter keeps it, for filters and lists; null where the body is no JSON object. Bodies are bytes of any kind,
-- so whatever cannot be read must be an answer and no error. One that is far larger than any honest message is not looked into. Not parallel: catching an error is not possible there.
CREATE OR REPLACE FUNCTION etl_message(body bytea) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
    message jsonb;
BEGIN
    IF octet_length(body) > 65536 THEN
        RETURN NULL;
    END IF;
    message := convert_from(body, 'UTF8')::jsonb;
    RETURN CASE WHEN jsonb_typeof(message) = 'object' THEN message END;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;

-- Pages run from the newest letter to the oldest, of one tenant or of all; nearly always over the open ones.
CREATE INDEX IF NOT EXISTS dead_letters_tenant_id_idx ON dead_letters (tenant_id, id);
CREATE INDEX IF NOT EXISTS dead_letters_open_idx ON dead_letters (id)
    WHERE replayed_at IS NULL AND discarded_at IS NULL;

-- Messages that are suspected of having ended a process, by the raw row that they name: such a row is not published again behind
-- the back of whoever decides about its letter. There are few of them.
CREATE INDEX IF NOT EXISTS dead_letters_suspects_idx ON dead_letters (tenant_id, (etl_message(body) ->> 'raw_data_id'))
    WHERE exit_report IS NOT NULL AND replayed_at IS NULL;

-- Raw rows whose message was missing and has been published again: once, and never a second time. No reference to the raw row: the
-- table may belong to somebody who deletes from it.
CREATE TABLE IF NOT EXISTS reconciliations (
    tenant_id    bigint NOT NULL,
    raw_data_id  bigint NOT NULL,
    published_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, raw_data_id)
);
