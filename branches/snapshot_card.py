"""The card of a dataset: what a Hub page and a reader need to know, with the metadata in YAML."""

import json
from collections.abc import Mapping
from typing import Any, Final

from branches.domain.formats import Format
from verel_site.access.models import Project

_SIZES: Final = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))
_SPLITS: Final = {"train": "train", "holdout": "test"}


def make_card(
    project: Project, format: Format, manifest: Mapping[str, Any], files: Mapping[str, str]
) -> str:
    """`files` are the names of the data files by side."""
    rows = sum(manifest["rows"].values())
    splits = "".join(
        f"  - split: {_SPLITS[side]}\n    path: {name}\n" for side, name in files.items()
    )
    return f"""---
pretty_name: {json.dumps(f"{project.slug} preferences")}
license: other
task_categories: [text-generation]
tags: [dpo, preference, {format.key}, agent, verel]
size_categories: [{_size(rows)}]
configs:
- config_name: default
  data_files:
{splits}---
# {project.slug} preferences

{_told(format, manifest, rows)}

## How to load it

{format.loading}

## How it was made

- Prompt: the messages that both branches share, equal by digest. Chosen and rejected: what the
  winner and the loser did next. Each comes from a merge that a person approved through a gate, or
  past a shut one with a reason; `metadata` and `provenance.jsonl` say which.
- Filter: `{json.dumps(manifest["filter"], sort_keys=True)}`. Of what it means, all that had passed
  its undo window at {manifest["as_of"]} is here, and nothing that was withdrawn.
- Held out, {manifest["holdout"]}.
- A person's override stands in `metadata`, and in the prompt only where `override_in_prompt` says
  so: the project's setting at the time of the merge.
{_likeness(manifest["likeness"])}
{_skipped(manifest["skipped"])}

`manifest.json` has the SHA-256 of each file. A merge that is taken back withdraws its triplets:
then drop the rows that `provenance.jsonl` names, or make a new snapshot.
"""


def _told(format: Format, manifest: Mapping[str, Any], rows: int) -> str:
    sides = manifest["triplets"]
    return (
        f"{sum(sides.values())} preference triplets in {rows} rows, in the format {format.title}: "
        f"{sides['train']} to train on, {sides['holdout']} held out."
    )


def _size(rows: int) -> str:
    return next((word for limit, word in _SIZES if rows < limit), "100K<n<1M")


def _likeness(facts: Mapping[str, Any]) -> str:
    return (
        f"- {facts['repeated_prompts']} triplets repeat an earlier prompt, {facts['near_prompts']} "
        f"are nearly like one (MinHash, from {facts['near_from']} on, system messages aside), and "
        f"{facts['across_splits']} of those have it on the other side of the split. They are "
        "marked, not left out."
    )


def _skipped(facts: Mapping[str, Any]) -> str:
    if not facts["triplets"]:
        return "- No triplet was left out for its shape."
    lines = [f"- {facts['triplets']} triplets do not fit the format (`skipped.jsonl`):"]
    lines += [f"  - {count}: {reason}" for reason, count in facts["reasons"].items()]
    return "\n".join(lines)
