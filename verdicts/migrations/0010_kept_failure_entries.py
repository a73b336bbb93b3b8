"""On PostgreSQL no statement changes or removes an entry of the failure ledger."""

from django.db import migrations

# `verel.truncating` lets a test empty its database.
GUARD = """
CREATE OR REPLACE FUNCTION verel_guard_failure_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' AND current_setting('verel.truncating', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'an entry of the failure ledger is never changed: %', TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER failure_entry_is_kept BEFORE UPDATE OR DELETE ON verdicts_failureentry
    FOR EACH ROW EXECUTE FUNCTION verel_guard_failure_entry();
CREATE TRIGGER failure_entries_are_kept BEFORE TRUNCATE ON verdicts_failureentry
    FOR EACH STATEMENT EXECUTE FUNCTION verel_guard_failure_entry()
"""
UNGUARD = """
DROP TRIGGER failure_entry_is_kept ON verdicts_failureentry;
DROP TRIGGER failure_entries_are_kept ON verdicts_failureentry;
DROP FUNCTION verel_guard_failure_entry()
"""


def guard(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(GUARD)


def unguard(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(UNGUARD)


class Migration(migrations.Migration):
    dependencies = [("verdicts", "0009_failure_ledger")]
    operations = [migrations.RunPython(guard, unguard)]
