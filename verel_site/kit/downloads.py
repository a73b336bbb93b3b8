"""Answers that are files."""

from django.http import HttpResponse


def answer_json_file(data: bytes, filename: str) -> HttpResponse:
    """A download that no browser shows or runs. `filename` is the server's own word."""
    return HttpResponse(
        data,
        content_type="application/json",
        headers={
            "Content-Disposition": f'attachment; filename="{filename}"',
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "X-Content-Type-Options": "nosniff",
        },
    )
