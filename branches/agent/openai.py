"""A mind behind any OpenAI-compatible server."""

import json
from collections.abc import Sequence
from typing import Any, Final

import httpx

from branches.agent.steps import MindFailed, Step
from branches.domain import terms
from branches.domain.context import Context
from branches.domain.events import StoredEvent
from verel_site.kit.strict_json import MalformedJson, check

TIMEOUT_SECONDS: Final = 90.0
# This worker runs no tools. A call is recorded and answered so, and after a few the work ends.
MAX_CALL_ROUNDS: Final = 3
NOT_RUN: Final = "Not run: this worker has no tools. Go on without it, or say what is missing."


class OpenAIMind:
    def __init__(self, *, base_url: str, model: str, api_key: str = "") -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self.name = f"model:{model}"[:200]
        self.model = model
        self._client = httpx.Client(
            base_url=base_url.rstrip("/") + "/", headers=headers, timeout=TIMEOUT_SECONDS
        )

    def next_step(self, events: Sequence[StoredEvent], context: Context) -> Step:
        body: dict[str, Any] = {"model": self.model, "messages": context.messages}
        if context.tools:
            body["tools"] = context.tools
        answer = self._ask(body)
        payload = self._read_message(answer)
        try:
            check(payload)
        except MalformedJson as error:
            raise MindFailed(f"The model server's answer cannot be kept: {error}") from error
        calls = payload.get("tool_calls", [])
        told: list[tuple[str, dict[str, Any]]] = [(terms.ASSISTANT, payload)]
        told += [
            (
                terms.TOOL_RESULT,
                {"call_id": c["id"], "name": c["name"], "content": NOT_RUN, "is_error": True},
            )
            for c in calls
        ]
        rounds = sum(event.payload.get("content") == NOT_RUN for event in events)
        return Step(tuple(told), last=not calls or rounds >= MAX_CALL_ROUNDS)

    def _ask(self, body: dict[str, Any]) -> dict[str, Any]:
        try:
            response = self._client.post("chat/completions", json=body)
            response.raise_for_status()
            answer = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise MindFailed(f"The model server did not answer: {error}"[:500]) from error
        if not isinstance(answer, dict):
            raise MindFailed("The model server's answer is no object.")
        return answer

    def _read_message(self, answer: dict[str, Any]) -> dict[str, Any]:
        try:
            message = answer["choices"][0]["message"]
            calls = [
                {
                    "id": str(call["id"]),
                    "name": str(call["function"]["name"]),
                    "arguments": _read_arguments(call["function"].get("arguments")),
                }
                for call in message.get("tool_calls") or []
            ]
            content = str(message.get("content") or "")
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise MindFailed("The model server's answer has no message.") from error
        payload: dict[str, Any] = {"content": content, "model": self.model}
        if calls:
            payload["tool_calls"] = calls
        usage = _read_usage(answer.get("usage"))
        return {**payload, "usage": usage} if usage else payload


def _read_arguments(value: object) -> Any:
    if not isinstance(value, str):
        return value
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return parsed if isinstance(parsed, dict) else value


def _read_usage(usage: object) -> dict[str, int]:
    """Verel's four figures; what the server did not tell stays absent."""
    if not isinstance(usage, dict):
        return {}
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    prompt, output = usage.get("prompt_tokens"), usage.get("completion_tokens")
    figures: dict[str, int] = {}
    if isinstance(prompt, int):
        figures["uncached"] = prompt - (cached if isinstance(cached, int) else 0)
    if isinstance(cached, int):
        figures["cache_read"] = cached
    if isinstance(output, int):
        figures["output"] = output
    return figures
