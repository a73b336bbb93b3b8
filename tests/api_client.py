"""A client of the API that holds every answer against the OpenAPI schema.

An answer whose status is not documented, that lacks a field, or has one that nobody wrote down,
fails the test that got it.
"""

import json
import re
import threading
from functools import cache
from typing import Any

import jsonschema
from django.contrib.auth.models import User
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from tests import api_urls
from verel_site.kit.problems import PROBLEM_TYPE

ROOT = "/api/v1/"
_making = threading.Lock()


class Api:
    """Requests with a key, as a signed-in person, or as nobody."""

    def __init__(self, key: str = "", user: User | None = None, **client: Any) -> None:
        self.client = Client(raise_request_exception=False, **client)
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}
        if user is not None:
            self.client.force_login(user)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The response; `.data` is its JSON. A `bytes` body is sent as it is."""
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        kind = headers.pop("content_type", "application/json")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = self.client.generic(
            method, ROOT + path, raw, content_type=kind, headers={**self.headers, **named}
        )
        check_documented(method, ROOT + path.split("?")[0], response)
        return response

    def get(self, path: str, **headers: str) -> Any:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.call("POST", path, {} if body is None else body, **headers)


def data(response: Any, status: int = 200) -> Any:
    """The JSON of an answer that has this status."""
    assert response.status_code == status, response.content
    return json.loads(response.content)


def problem(response: Any, status: int, code: str, pointer: str | None = None) -> Any:
    """The problem document of an answer that has this status, code and pointer."""
    assert response["Content-Type"] == PROBLEM_TYPE, response.content
    body = json.loads(response.content)
    told = response.status_code, body["status"], body["code"], body.get("pointer")
    assert told == (status, status, code, pointer), body
    assert body["title"]
    assert body["detail"]
    return body


def schema() -> dict[str, Any]:
    """The product's schema, in which nothing undocumented is allowed."""
    # Threads of one test may all ask first, and the generator loads itself unguarded.
    with _making:
        return _make_schema()


@cache
def _make_schema() -> dict[str, Any]:
    generator: Any = SchemaGenerator
    made: dict[str, Any] = generator(urlconf=api_urls).get_schema(public=True)
    parts = json.loads(json.dumps(made))
    for component in parts["components"]["schemas"].values():
        if "properties" in component:
            component["additionalProperties"] = False
    # Problems carry what else a client may want to know.
    parts["components"]["schemas"]["Problem"]["additionalProperties"] = True
    _allow_null(parts)
    return parts  # type: ignore[no-any-return]


def _allow_null(node: Any) -> None:
    """OpenAPI 3.0 says `nullable`; JSON Schema knows null as a type."""
    for child in node.values() if isinstance(node, dict) else node:
        if isinstance(child, dict | list):
            _allow_null(child)
            if isinstance(child, dict) and child.pop("nullable", False) is True:
                inner = dict(child)
                child.clear()
                child["anyOf"] = [inner, {"type": "null"}]


def operations() -> list[tuple[str, str]]:
    """`(METHOD, path)` of every documented operation."""
    verbs = {"get", "post", "delete", "put", "patch"}
    paths = schema()["paths"]
    return [(v.upper(), path) for path, item in paths.items() for v in item if v in verbs]


def check_documented(method: str, path: str, response: Any) -> None:
    known = [
        template
        for verb, template in operations()
        if verb == method and re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", template), path)
    ]
    if not known or response.status_code in {405, 406}:
        return
    answers = schema()["paths"][known[0]][method.lower()]["responses"]
    status = str(response.status_code)
    assert status in answers, f"{method} {known[0]} answers {status}: {response.content[:500]!r}"
    kind = response.headers.get("Content-Type", "").split(";")[0]
    content = answers[status].get("content", {})
    if kind in {"application/json", PROBLEM_TYPE} and not response.streaming and response.content:
        assert kind in content, f"{method} {known[0]} answers {status} as {kind}"
        whole = {**content[kind]["schema"], "components": schema()["components"]}
        jsonschema.validate(json.loads(response.content), whole)
