"""The index of recall. Its shape is the database's own, so it has no model: words that Verel splits
itself, in a `tsvector` on PostgreSQL, in an FTS5 table without content on SQLite. What a record
says never changes, and so no entry ever does."""

from django.db import migrations

POSTGRESQL = """
CREATE TABLE memory_search (
    project_id uuid NOT NULL,
    position bigint NOT NULL PRIMARY KEY,
    words tsvector NOT NULL
);
CREATE INDEX memory_search_words ON memory_search USING gin (words);
"""
SQLITE = """
CREATE VIRTUAL TABLE memory_search
USING fts5(words, content='', tokenize="ascii tokenchars '_:'")
"""


def create_index(apps, schema_editor):
    schema_editor.execute(POSTGRESQL if schema_editor.connection.vendor == "postgresql" else SQLITE)


def drop_index(apps, schema_editor):
    schema_editor.execute("DROP TABLE memory_search")


class Migration(migrations.Migration):
    dependencies = [("memory", "0001_initial")]
    operations = [migrations.RunPython(create_index, drop_index, elidable=False)]
