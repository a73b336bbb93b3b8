"""Blobs were stored as they came; now they begin with a codec version like payloads. 0 is plain."""

from django.db import migrations


def wrap(apps, schema_editor):
    blobs = apps.get_model("branches", "Blob").objects
    for key in list(blobs.values_list("pk", flat=True)):
        blob = blobs.get(pk=key)
        blobs.filter(pk=key).update(data=b"\x00" + bytes(blob.data))


def unwrap(apps, schema_editor):
    """Only plain blobs can be read by the code before this."""
    blobs = apps.get_model("branches", "Blob").objects
    for key in list(blobs.values_list("pk", flat=True)):
        blob = blobs.get(pk=key)
        data = bytes(blob.data)
        if data[:1] != b"\x00":
            raise RuntimeError(f"blob {blob.sha256} is encrypted, and cannot be unwrapped")
        blobs.filter(pk=key).update(data=data[1:])


class Migration(migrations.Migration):
    dependencies = [("branches", "0001_initial")]
    operations = [migrations.RunPython(wrap, unwrap)]
