"""Reports of earlier releases get the suite that their receipt claims into its column."""

from typing import Any

from django.db import migrations

ROWS = 500


def fill(apps: Any, schema_editor: Any) -> None:
    report = apps.get_model("verdicts", "Report")
    signed = report.objects.using(schema_editor.connection.alias).exclude(receipt="")
    rows = list(signed.order_by("pk").only("pk", "receipt_claims")[:ROWS])
    while rows:
        for row in rows:
            digest = row.receipt_claims.get("suite_digest")
            row.suite_digest = digest[:64] if isinstance(digest, str) else ""
        signed.bulk_update(rows, ["suite_digest"], batch_size=ROWS)
        after = signed.filter(pk__gt=rows[-1].pk)
        rows = list(after.order_by("pk").only("pk", "receipt_claims")[:ROWS])


class Migration(migrations.Migration):
    dependencies = [("verdicts", "0006_suite_pages")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
