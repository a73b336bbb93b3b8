"""Episodes are followed anew: each has its tokens, the skill that it took up, and what stood before
a fork. Where a consolidation reads them just now they stay as they are."""

from typing import Any

from django.db import migrations


def drop(apps: Any, schema_editor: Any) -> None:
    episode, cursor, job = (
        apps.get_model("memory", name) for name in ("Episode", "MemoryCursor", "Consolidation")
    )
    read = job.objects.filter(state__in=["waiting", "working"]).values("project_id")
    cursor.objects.filter(name="episodes").exclude(project__in=read).update(position=0)
    episode.objects.exclude(project__in=read).delete()


class Migration(migrations.Migration):
    dependencies = [("memory", "0010_episode_skill")]

    operations = [migrations.RunPython(drop, migrations.RunPython.noop)]
