"""What every test may use. The data directory is a throwaway one, never the checkout's own."""

import os
import tempfile

os.environ.setdefault("VEREL_HOME", tempfile.mkdtemp(prefix="verel-test-"))
# Browser tests run an event loop in the test's own thread.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
