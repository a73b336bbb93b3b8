"""What a page's address asks for, read strictly."""

from collections.abc import Mapping
from uuid import UUID

from verel_site.kit.refusals import BadInput


def read_uuid(query: Mapping[str, str], name: str) -> UUID | None:
    """None where it is absent or empty; raises BadInput for what is no UUID."""
    text = query.get(name, "")
    if not text:
        return None
    found = as_uuid(text)
    if found is None:
        raise BadInput(f"{name} takes a UUID.", parameter=name)
    return found


def as_uuid(text: str) -> UUID | None:
    """None for what is no UUID."""
    try:
        return UUID(text)
    except ValueError:
        return None
