"""What stands in the Authorization header: the key, or a token signed with it.

The token is the platform's older way (a JWT with claims in milliseconds and a header of its
own), kept as an option for gateways that know no other. Sixteen lines of standard library
stand for PyJWT: there is nothing to verify here, and one algorithm.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any, Literal

from glm_magic.errors import SettingsError
from glm_magic.secret import Secret

AuthStyle = Literal["key", "jwt"]
# As in the platform's own client (zai-sdk 0.2.3), which signs a new one after 180 s.
_LIFETIME_MS = 210_000


def authorization(key: Secret, style: AuthStyle, *, now_s: float | None = None) -> str:
    """Return the value of the Authorization header.

    Raises:
        SettingsError: no header takes the key; or a token needs a key of the form ID.SECRET,
            and this is none.
    """
    value = key.reveal()
    # The HTTP library would repeat the key in its error.
    if not (value.isascii() and value.isprintable()):
        raise SettingsError(
            "the key has characters that no key has; copy it again and run `%glm login`"
        )
    if style == "key":
        return f"Bearer {value}"
    identity, dot, secret = value.partition(".")
    if not (identity and dot and secret):
        raise SettingsError("auth=jwt needs a key of the form ID.SECRET; use auth=key")
    return f"Bearer {_sign(identity, secret, time.time() if now_s is None else now_s)}"


def _sign(identity: str, secret: str, now_s: float) -> str:
    now_ms = int(now_s * 1000)
    claims = {"api_key": identity, "exp": now_ms + _LIFETIME_MS, "timestamp": now_ms}
    signed = f"{_encode({'alg': 'HS256', 'sign_type': 'SIGN'})}.{_encode(claims)}"
    digest = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{_base64url(digest)}"


def _encode(value: dict[str, Any]) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
