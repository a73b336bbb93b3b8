"""A reader's own names for sets of filters."""

from typing import Final

from verel_site.access.actors import Actor
from verel_site.inbox.items import read_reviewer
from verel_site.inbox.models import SavedView
from verel_site.kit import strict_json
from verel_site.kit.refusals import Unprocessable

MAX_VIEWS: Final = 30
MAX_NAME: Final = 60
MAX_QUERY: Final = 500


class BadView(Unprocessable):
    code = "bad_view"
    title = "The view cannot be saved"


def save_view(*, actor: Actor, name: str, query: str) -> SavedView:
    """Under the reader's own name for it; the same name again replaces it."""
    reviewer = read_reviewer(actor)
    name = name.strip()
    if not 0 < len(name) <= MAX_NAME or len(query) > MAX_QUERY:
        raise BadView(f"A name has 1 to {MAX_NAME} characters.", pointer="/name")
    strict_json.check(name, at="/name")
    others = SavedView.objects.filter(reviewer_id=reviewer).exclude(name=name)
    if others.count() >= MAX_VIEWS:
        raise BadView(f"There are {MAX_VIEWS} views already; forget one first.")
    view, _ = SavedView.objects.update_or_create(
        reviewer_id=reviewer, name=name, defaults={"query": query}
    )
    return view


def forget_view(*, actor: Actor, name: str) -> None:
    reviewer = read_reviewer(actor)
    SavedView.objects.filter(reviewer_id=reviewer, name=name.replace("\x00", "")).delete()
