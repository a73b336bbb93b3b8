"""Benchmarks: each a ratio to the least work that keeps the same promise, measured in one run.

A module in `verel_site.bench.cases` adds its own: it lists them in `CASES`.
"""
