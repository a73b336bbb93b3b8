from verel_site.outbox.promises import Away


class PortFailed(Away):
    """What is rented did not answer, or not as it must. Nothing was kept of the answer; the call
    may be made again. What is owed to it stays owed."""
