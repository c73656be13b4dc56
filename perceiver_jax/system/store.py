"""The words that the processes of a run leave for each other, in JAX's coordination service, which process 0 holds."""

import threading
import time
from typing import Any

PREFIX = "perceiver_jax/"
WAIT_SECONDS = 60.0  # of one question for a value that is not there yet; then it is asked again
RETRY_SECONDS = 0.5  # after an answer that is an error


class Store:
    """Texts by name. Each can be set once, but for those that `renew` sets."""

    def __init__(self, client: Any):
        self._client = client  # of JAX's coordination service: jaxlib's DistributedRuntimeClient
        self._answered = time.monotonic()

    @property
    def silence(self) -> float:
        """Seconds since process 0 last answered."""
        return time.monotonic() - self._answered

    def set(self, key: str, text: str) -> bool:
        """Whether the text is there now; False where there was another one before."""
        try:
            self._client.key_value_set(PREFIX + key, text)
        except Exception as error:
            if "ALREADY_EXISTS" not in str(error):
                raise
            return False
        return True

    def renew(self, key: str, text: str) -> None:
        """Sets a text in place of the one before."""
        self._client.key_value_set(PREFIX + key, text, allow_overwrite=True)
        self._answered = time.monotonic()

    def listing(self, folder: str) -> dict[str, str]:
        """The texts whose names begin with `folder/`, by the rest of their names."""
        begin = f"{PREFIX}{folder}/"
        return {key.removeprefix(begin): text for key, text in self._client.key_value_dir_get(begin)}

    def read(self, key: str) -> str:
        """A text, waited for as long as it takes: a `Watch` ends this process where it will not come."""
        while (text := self.wait(key, WAIT_SECONDS)) is None:
            pass
        return text

    def wait(self, key: str, seconds: float) -> str | None:
        """A text; None where it does not come in time."""
        try:
            text = self._client.blocking_key_value_get(PREFIX + key, int(1000 * seconds))
        except Exception as error:  # noqa: BLE001
            if "DEADLINE_EXCEEDED" not in str(error):
                threading.Event().wait(RETRY_SECONDS)
            return None
        self._answered = time.monotonic()
        return text
