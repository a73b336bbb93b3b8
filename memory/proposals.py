"""The one door by which facts and rules come in, whoever proposes them."""

from uuid import UUID

from django.db import transaction

from memory.records import Proposal, Proposed, propose_record
from memory.requests import ask_where_needed
from verel_site.access.actors import Actor


@transaction.atomic
def propose(*, project_id: UUID, actor: Actor, proposal: Proposal) -> Proposed:
    """A new record, or support for one that says the same; a person is asked where one is needed.
    Raises what `propose_record` does."""
    return ask_where_needed(propose_record(project_id=project_id, actor=actor, proposal=proposal))
