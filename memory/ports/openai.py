"""A JSON call to an OpenAI-compatible server. It is no part of Verel, so its answers are hostile."""

from typing import Any, Final

import httpx

from memory.ports.failures import PortFailed
from verel_site.kit.strict_json import MalformedJson, decode

TIMEOUT_SECONDS: Final = 30.0
MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
SHOWN: Final = 300


class OpenAIServer:
    """Safe to share among threads."""

    def __init__(
        self, *, base_url: str, api_key: str = "", timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.Client(
            base_url=base_url.rstrip("/") + "/", headers=headers, timeout=timeout_seconds
        )

    def ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer, an object of strict JSON. Raises PortFailed: a redirect is none either, since
        the key would go where nobody configured it to."""
        try:
            with self._client.stream("POST", path, json=body) as response:
                raw = self._read(response)
                response.raise_for_status()
            answer = decode(raw)
        except httpx.HTTPError as error:
            raise PortFailed(f"The model server did not answer: {error}"[:SHOWN]) from error
        except MalformedJson as error:
            raise PortFailed(f"The model server's answer is no JSON: {error}"[:SHOWN]) from error
        if not isinstance(answer, dict):
            raise PortFailed("The model server's answer is no object.")
        return answer

    def _read(self, response: httpx.Response) -> bytes:
        raw = bytearray()
        for piece in response.iter_bytes():
            raw += piece
            if len(raw) > MAX_ANSWER_BYTES:
                raise PortFailed("The model server's answer is too long.")
        return bytes(raw)
