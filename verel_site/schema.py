"""The OpenAPI document: made once by each process, since it takes seconds and anybody may ask."""

import threading
from typing import Any, Final

from django.http import HttpResponse
from django.utils.encoding import force_bytes
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class SchemaDocument(SpectacularAPIView):
    """In the media type that was asked for: YAML or JSON."""

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        renderer = request.accepted_renderer
        name = f'inline; filename="verel.{renderer.format}"'
        return HttpResponse(
            documents.rendered(renderer),
            content_type=renderer.media_type,
            headers={"Content-Disposition": name},
        )


class Documents:
    """The document, and what it is in each media type that was asked for."""

    def __init__(self) -> None:
        # The generator keeps what it looks at on the views' classes: two at a time would read each
        # other's operations, and fail or tell them wrongly.
        self._making = threading.Lock()
        self._document: Any = None
        self._rendered: dict[str, bytes] = {}

    def rendered(self, renderer: BaseRenderer) -> bytes:
        with self._making:
            if self._document is None:
                generator = SchemaDocument.generator_class()
                # Its package has no types.
                self._document = generator.get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
            if renderer.media_type not in self._rendered:
                made = renderer.render(self._document, renderer_context={})
                self._rendered[renderer.media_type] = force_bytes(made)
            return self._rendered[renderer.media_type]


documents: Final = Documents()
