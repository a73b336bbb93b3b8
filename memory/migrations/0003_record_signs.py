"""Near-duplicates are found by equality, and what is vouched for by an index of its own."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

from memory.domain.likeness import signs_of


def sign_records(apps, schema_editor):
    record, sign = apps.get_model("memory", "Record"), apps.get_model("memory", "RecordSign")
    for row in record.objects.exclude(kind="skill").iterator(chunk_size=500):
        about = (row.kind, row.scope, row.key, row.object)
        sign.objects.bulk_create(
            sign(project_id=row.project_id, record=row, sign=one)
            for one in signs_of(row.text, about=about)
        )


class Migration(migrations.Migration):
    dependencies = [("memory", "0002_recall_index")]

    operations = [
        migrations.CreateModel(
            name="RecordSign",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("sign", models.CharField(max_length=32)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="access.project",
                    ),
                ),
                (
                    "record",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="signs",
                        to="memory.record",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["project", "sign"], name="record_of_sign")],
                "constraints": [
                    models.UniqueConstraint(fields=["record", "sign"], name="record_sign_once")
                ],
            },
        ),
        migrations.AddIndex(
            model_name="record",
            index=models.Index(
                fields=["project", "trust", "-asserted_at"],
                condition=Q(standing="live"),
                name="record_vouched",
            ),
        ),
        migrations.RunPython(sign_records, migrations.RunPython.noop, elidable=True),
    ]
