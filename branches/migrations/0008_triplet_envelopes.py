"""Triplets were stored as they were; now their columns begin with a codec version like payloads.
0 is plain."""

from django.db import migrations, models

COLUMNS = ("prompt", "chosen", "rejected", "tools")


def wrap(apps, schema_editor):
    triplets = apps.get_model("branches", "Triplet").objects
    for key in list(triplets.values_list("pk", flat=True)):
        row = triplets.filter(pk=key).values(*COLUMNS).get()
        triplets.filter(pk=key).update(
            **{name: b"\x00" + bytes(value) for name, value in row.items()}
        )


def unwrap(apps, schema_editor):
    """Only plain triplets can be read by the code before this."""
    triplets = apps.get_model("branches", "Triplet").objects
    for key in list(triplets.values_list("pk", flat=True)):
        row = {
            name: bytes(value)
            for name, value in triplets.filter(pk=key).values(*COLUMNS).get().items()
        }
        if any(value[:1] != b"\x00" for value in row.values()):
            raise RuntimeError(f"triplet {key} is encrypted, and cannot be unwrapped")
        triplets.filter(pk=key).update(**{name: value[1:] for name, value in row.items()})


def envelope(text):
    return models.BinaryField(help_text=text)


class Migration(migrations.Migration):
    dependencies = [("branches", "0007_datasets_as_of")]
    operations = [
        migrations.AlterField(
            "triplet", "prompt", envelope("envelope of compact JSON: a list of messages")
        ),
        migrations.AlterField("triplet", "tools", models.BinaryField()),
        migrations.RunPython(wrap, unwrap),
    ]
