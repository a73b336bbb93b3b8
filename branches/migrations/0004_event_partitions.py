"""On PostgreSQL events lie in hash partitions by run, and no statement changes or removes one.

The columns stand from wide to narrow, so that no row carries padding between them. What is left
out, and why:

- foreign keys: a writer holds the branch's row, which names the run and project; three lookups for
  each row would prove that again;
- a unique index on ids: one over a project cannot be had across partitions by run. The journal
  looks ids up under the project's lock instead;
- a B-tree on the position alone: rows come in its order, and a block range index holds that order
  in a few pages.

SQLite has one writer and one file; there the table stays as it is.
"""

from django.db import migrations

PARTITIONS = 8

CREATE = """
CREATE TABLE event_partitions (
    position bigint NOT NULL,
    ts timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    seq integer NOT NULL CHECK (seq >= 0),
    schema_version smallint NOT NULL CHECK (schema_version >= 0),
    event_id uuid NOT NULL,
    project_id uuid NOT NULL,
    run_id uuid NOT NULL,
    branch_id uuid NOT NULL,
    parent_id uuid NULL,
    task_id uuid NULL,
    type varchar(120) NOT NULL,
    source varchar(200) NOT NULL,
    digest bytea NOT NULL,
    seal bytea NOT NULL,
    payload bytea NOT NULL
) PARTITION BY HASH (run_id)
"""
COLUMNS = (
    "position, ts, received_at, seq, schema_version, event_id, project_id, run_id, branch_id, "
    "parent_id, task_id, type, source, digest, seal, payload"
)
MOVE = f"""
INSERT INTO event_partitions ({COLUMNS}) SELECT {COLUMNS} FROM branches_event ORDER BY position;
CREATE SEQUENCE event_positions;
SELECT setval('event_positions', greatest(coalesce(max(position), 0), 1), max(position) IS NOT NULL)
    FROM branches_event;
DROP TABLE branches_event;
ALTER TABLE event_partitions RENAME TO branches_event;
ALTER TABLE branches_event ALTER COLUMN position SET DEFAULT nextval('event_positions');
ALTER SEQUENCE event_positions OWNED BY branches_event.position
"""
INDEX = """
CREATE UNIQUE INDEX event_{n}_place ON branches_event_{n} (branch_id, seq);
CREATE INDEX event_{n}_id ON branches_event_{n} (event_id);
CREATE INDEX event_{n}_of_run ON branches_event_{n} (run_id, position);
CREATE INDEX event_{n}_of_project ON branches_event_{n} (project_id, position);
CREATE INDEX event_{n}_position ON branches_event_{n} USING brin (position)
    WITH (pages_per_range = 16, autosummarize = on)
"""
# Two doors, each open for one transaction or session alone: `verel.archiving` lets the archiver
# put another envelope of the same event, `verel.truncating` lets a test empty its database.
GUARD = """
CREATE OR REPLACE FUNCTION verel_guard_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('verel.archiving', true) = 'on' THEN
        OLD.payload := NEW.payload;
        IF OLD IS NOT DISTINCT FROM NEW THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'an event is never changed: % of position %', TG_OP, OLD.position
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE OR REPLACE FUNCTION verel_guard_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('verel.truncating', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'events are never removed' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER event_is_kept BEFORE UPDATE OR DELETE ON branches_event
    FOR EACH ROW EXECUTE FUNCTION verel_guard_event()
"""
GUARD_TABLE = """
CREATE TRIGGER events_are_kept BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION verel_guard_events()
"""


def partition(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT relkind FROM pg_class WHERE oid = 'branches_event'::regclass")
        if cursor.fetchone()[0] == "p":
            return
        cursor.execute(CREATE)
        parts = [f"branches_event_{n}" for n in range(PARTITIONS)]
        for n, name in enumerate(parts):
            cursor.execute(
                f"CREATE TABLE {name} PARTITION OF event_partitions "
                f"FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {n})"
            )
        cursor.execute(MOVE)
        for n in range(PARTITIONS):
            cursor.execute(INDEX.format(n=n))
        cursor.execute(GUARD)
        for table in ("branches_event", *parts):
            cursor.execute(GUARD_TABLE.format(table=table))


class Migration(migrations.Migration):
    dependencies = [("branches", "0003_search_index")]
    operations = [migrations.RunPython(partition, migrations.RunPython.noop)]
