"""Datasets from before exports held what could leave when they were made."""

from django.db import migrations
from django.db.models import F


def date_back(apps, schema_editor):
    apps.get_model("branches", "Dataset").objects.update(as_of=F("created_at"))


class Migration(migrations.Migration):
    dependencies = [("branches", "0006_exports")]
    operations = [migrations.RunPython(date_back, migrations.RunPython.noop)]
