"""The search index: a projection of the journal that may be dropped and rebuilt at any time.

It has no model, since its shape is the database's own: words in a `tsvector` on PostgreSQL, an
FTS5 table without content on SQLite, its rowid the event's position. Both hold words that Verel
splits itself; the tokenizer has nothing to do but to part them at spaces.
"""

import django.db.models.deletion
from django.db import migrations, models

POSTGRESQL = """
CREATE TABLE branches_search (
    project_id uuid NOT NULL,
    position bigint NOT NULL,
    words tsvector NOT NULL,
    PRIMARY KEY (project_id, position)
);
CREATE INDEX branches_search_words ON branches_search USING gin (words);
"""
SQLITE = """
CREATE VIRTUAL TABLE branches_search
USING fts5(words, content='', columnsize=0, tokenize="ascii tokenchars '_:'")
"""


def create_index(apps, schema_editor):
    schema_editor.execute(POSTGRESQL if schema_editor.connection.vendor == "postgresql" else SQLITE)


def drop_index(apps, schema_editor):
    schema_editor.execute("DROP TABLE branches_search")


class Migration(migrations.Migration):
    dependencies = [("access", "0001_initial"), ("branches", "0002_blob_envelopes")]

    operations = [
        migrations.CreateModel(
            name="SearchCursor",
            fields=[
                (
                    "project",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="access.project",
                    ),
                ),
                ("position", models.PositiveBigIntegerField(default=0)),
                ("upto", models.DateTimeField(blank=True, null=True)),
                ("events", models.PositiveBigIntegerField(default=0)),
                ("cut", models.PositiveBigIntegerField(default=0)),
            ],
        ),
        migrations.RunPython(create_index, drop_index, elidable=False),
    ]
