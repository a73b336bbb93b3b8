"""OpenAPI links: which answer gives the id that another operation asks for.

They are read off the schema itself: where an answer has a field that is named as another operation's
path parameter (`run`, `branch`, `merge` …), the one leads to the other.
"""

from collections.abc import Iterator
from typing import Any, Final

# What lists call an id, where it is not the parameter's own name.
ID_FIELDS: Final = {"approval": ("Approval", "id"), "report": ("Report", "report")}
METHODS: Final = frozenset({"get", "post", "put", "patch", "delete"})


def link_operations(result: Any, **_: Any) -> Any:
    """A post-processing hook of drf-spectacular: adds `links` to every answer that has an id."""
    components = result.get("components", {}).get("schemas", {})
    takers = list(_takers(result["paths"]))
    for item in result["paths"].values():
        for method, operation in item.items():
            if method in METHODS:
                _link(operation, takers, components)
    return result


def _takers(paths: Any) -> Iterator[tuple[str, str]]:
    """`(parameter, operation id)` of what takes just one id in its address."""
    for item in paths.values():
        for method, operation in item.items():
            if method not in METHODS:
                continue
            names = [p["name"] for p in operation.get("parameters", []) if p["in"] == "path"]
            if len(names) == 1:
                yield names[0], operation["operationId"]


def _link(operation: Any, takers: list[tuple[str, str]], components: Any) -> None:
    for status, answer in operation["responses"].items():
        shape = answer.get("content", {}).get("application/json", {}).get("schema")
        if not str(status).startswith("2") or shape is None:
            continue
        found = dict(_ids(shape, components))
        links = {
            f"{target} by {name}": {
                "operationId": target,
                "parameters": {name: f"$response.body#{found[name]}"},
            }
            for name, target in takers
            if name in found and target != operation["operationId"]
        }
        if links:
            answer["links"] = links


def _ids(shape: Any, components: Any) -> Iterator[tuple[str, str]]:
    """`(parameter, JSON pointer)` of an answer's own ids, or of those of its first result."""
    kind, fields = _fields(shape, components)
    yield from ((name, f"/{name}") for name in fields)
    yield from _renamed(kind, "")
    results = fields.get("results", {})
    if results.get("type") == "array":
        kind, fields = _fields(results["items"], components)
        yield from ((name, f"/results/0/{name}") for name in fields)
        yield from _renamed(kind, "/results/0")


def _renamed(kind: str, at: str) -> Iterator[tuple[str, str]]:
    yield from (
        (name, f"{at}/{field}") for name, (owner, field) in ID_FIELDS.items() if owner == kind
    )


def _fields(shape: Any, components: Any) -> tuple[str, dict[str, Any]]:
    kind = str(shape.get("$ref", "")).rpartition("/")[2]
    return kind, components.get(kind, shape).get("properties", {})
