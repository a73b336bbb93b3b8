class PortFailed(Exception):
    """What is rented did not answer, or not as it must. Nothing was kept of the answer; the call
    may be made again."""
