"""What the caller puts into headers, checked before anything is sent: the API key and the Idempotency-Key.

An HTTP library refuses an odd header with its value in the message, so that a key would stand in a log.
"""

import re
import uuid
from collections.abc import Mapping

from erfscope._errors import refuse

VARIABLE = "ERFSCOPE_API_KEY"
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_LONGEST = 255


def api_key(given: str | None, environment: Mapping[str, str]) -> str | None:
    """The key without the white space around it; refused, never shown, where it cannot be one."""
    found = environment.get(VARIABLE)
    text = (given or found or "").strip()
    if text and not _VISIBLE.fullmatch(text):
        origin = VARIABLE if given in (None, "", found) else "api_key (--api-key)"
        raise refuse(
            "bad-request",
            f"the API key in {origin} has characters that no key has (a line break or space inside it, or letters "
            "beyond ASCII); copy it again, as `erfscope keys create` printed it.",
        )
    return text or None


def idempotency_key(given: str | None) -> str:
    """The caller's, or a new one where none is given."""
    if given is None or given == "":
        return uuid.uuid4().hex
    if not _VISIBLE.fullmatch(given) or len(given) > _LONGEST:
        raise refuse("bad-request", f"idempotency_key {given!r}: a key has 1 to {_LONGEST} visible ASCII characters")
    return given
