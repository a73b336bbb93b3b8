"""On PostgreSQL no statement changes or removes an audit entry."""

from django.db import migrations

# `verel.truncating` lets a test empty its database.
GUARD = """
CREATE OR REPLACE FUNCTION verel_guard_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' AND current_setting('verel.truncating', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'an audit entry is never changed: %', TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_entry_is_kept BEFORE UPDATE OR DELETE ON audit_auditentry
    FOR EACH ROW EXECUTE FUNCTION verel_guard_audit();
CREATE TRIGGER audit_is_kept BEFORE TRUNCATE ON audit_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION verel_guard_audit()
"""
UNGUARD = """
DROP TRIGGER audit_entry_is_kept ON audit_auditentry;
DROP TRIGGER audit_is_kept ON audit_auditentry;
DROP FUNCTION verel_guard_audit()
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
    dependencies = [("audit", "0001_initial")]
    operations = [migrations.RunPython(guard, unguard)]
