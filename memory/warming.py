"""What is rented and takes long to open is opened while a process starts, not by its first question."""

import logging
import threading

from memory.ports.embedders import current_embedder
from memory.ports.stores import current_store

logger = logging.getLogger(__name__)

# Nobody's: a project's owner is made of its id.
_OWNER = "verel-nobody"


def warm_up() -> None:
    """Loads the embedder and the store that are chosen, by a question each; a fault is in the log."""
    try:
        embedder = current_embedder()
        if embedder is not None:
            embedder.embed(["warm"])
        store = current_store()
        if store is not None:
            store.search(_OWNER, "warm", ["team"], 1)
    # Whatever it is, it comes up again where it is asked, and is told of there.
    except Exception:
        logger.warning("what memory rents does not answer yet", exc_info=True)


def warm_in_background() -> None:
    """At once; a daemon, so that a store that hangs holds up no shutdown."""
    threading.Thread(target=warm_up, daemon=True, name="warming of memory").start()
