"""A pair that somebody has judged and somebody else is to judge, and all that is sealed about it."""

from collections.abc import Iterator

from django.contrib.auth.models import User

from branches.forks import fork_branch
from branches.models import Branch, Event
from branches.steering import complete_branch
from tests.make import append, make_draft, make_message, make_run, make_user
from tests.verdicts.make import make_issue, push
from verdicts.comparisons import draw_sides, label_comparison, open_comparison
from verdicts.models import Comparison
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Membership, Project
from verel_site.access.projects import actor_of_user
from verel_site.access.rights import Role
from verel_site.inbox.items import comment_item
from verel_site.inbox.models import Item

WORDS = (
    "Secret", "Hush", "Whisper", "Ada", "Brandt", "0.0421", "31337", "31,337",
    "verdict that is sealed", "214 passed", "sealed reason", "sealed correction", "sealed comment",
)  # fmt: skip


def make_author(project: Project) -> User:
    return make_user(project, Role.ADMIN, first_name="Ada", last_name="Brandt")


def make_sealed_pair(project: Project, author: User) -> tuple[Branch, Branch]:
    _, trunk = make_run(project, "Cap the bolus")
    append(trunk, make_message("user", "Cap the dose."))
    made = []
    for name, text in (("Secret one", "Hush = 5mg"), ("Secret two", "Whisper = 9mg")):
        fork = fork_branch(
            parent_id=trunk.pk, fork_seq=2, actor=actor_of_user(author), override=text, name=name
        ).branch
        usage = make_draft("data.usage", {"output_tokens": 31337, "cost_usd": 0.0421})
        # Longer than a page shows of one text: the rest is behind a link.
        long = make_message("assistant", f"{text[0]}{'.' * 7_000}")
        append(fork, long, make_message("assistant", f"done {fork.number}"), usage)
        complete_branch(branch_id=fork.pk, actor=SYSTEM)
        fork.refresh_from_db()
        push(fork, "llm_judge", [make_issue(message="verdict that is sealed")], cost_usd=0.0421)
        made.append(fork)
    return made[0], made[1]


def make_judged(pair: tuple[Branch, Branch], author: User) -> Comparison:
    """The author has judged it and said something beside it, and has left: as a member they would
    be named where items are assigned. One more reviewer is asked."""
    actor = actor_of_user(author)
    comparison = open_comparison(left=pair[0].pk, right=pair[1].pk, actor=actor, required=2)
    draw_sides(comparison_id=comparison.pk, reviewer=actor)
    comment_item(item_id=item_of(comparison).pk, actor=actor, text="peer's sealed comment")
    label_comparison(
        comparison_id=comparison.pk,
        actor=actor,
        choice="left",
        strength=5,
        rationale="peer's sealed reason",
        corrected="peer's sealed correction",
    )
    Membership.objects.filter(user=author).delete()
    return comparison


def item_of(comparison: Comparison) -> Item:
    return Item.objects.get(kind="comparison", subject=comparison.pk)


def sealed_words(pair: tuple[Branch, Branch]) -> list[str]:
    """What stands in no answer to one who has yet to judge: names, people, reports and costs, and
    whatever names a branch, its head or a step of its own elsewhere in the product."""
    return [*WORDS, *(name for branch in pair for name in _names_of(branch))]


def _names_of(branch: Branch) -> Iterator[str]:
    for event in Event.objects.filter(branch=branch):
        for name in (str(event.event_id), bytes(event.digest).hex()):
            yield from (name, name[:12])
    yield str(branch.pk)
