"""A skill's archive as a download."""

from django.http import HttpResponse


def send_archive(name: str, packed: bytes) -> HttpResponse:
    response = HttpResponse(packed, content_type="application/zip")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Content-Security-Policy"] = "sandbox"
    response["X-Content-Type-Options"] = "nosniff"
    return response
