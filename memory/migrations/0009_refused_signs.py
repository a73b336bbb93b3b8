"""What was refused before is found by near wordings from everywhere, as what is refused from now on."""

from typing import Any

from django.db import migrations


def sign(apps: Any, schema_editor: Any) -> None:
    from memory.domain.likeness import signs_of
    from memory.domain.readings import strip_hidden

    refused, signs = (apps.get_model("memory", name) for name in ("RefusedValue", "RecordSign"))
    rows = refused.objects.filter(record__kind="fact").select_related("record")
    for row in rows.iterator():
        found = signs_of(strip_hidden(row.record.text), about=("refused",))
        signs.objects.bulk_create(
            [
                signs(project_id=row.project_id, record_id=row.record_id, sign=one)
                for one in sorted(found)
            ],
            ignore_conflicts=True,
        )


class Migration(migrations.Migration):
    dependencies = [("memory", "0008_curve_fits")]

    operations = [migrations.RunPython(sign, migrations.RunPython.noop)]
