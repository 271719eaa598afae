"""What a Ray cluster that this process starts reads from the environment."""

import secrets
from functools import cache


def ray_environment() -> dict[str, str]:
    """A secret token that Ray requires at each of its ports, and no usage statistics.

    The token is one for the whole process: Ray reads it once, also where a process starts one cluster after another.
    Variables that the operator has set have precedence.
    """
    return {"RAY_AUTH_TOKEN": _token(), "RAY_USAGE_STATS_ENABLED": "0"}


@cache
def _token() -> str:
    return secrets.token_hex(32)
