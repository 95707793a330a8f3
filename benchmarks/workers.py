"""What a second worker process gains: deliveries as fast as possible, to the same number of viewers.

On a machine with only as many cores as workers, the load generator takes CPU from them. So besides the measured rate
there is ``ideal_per_s``: the rate at which the busiest process would use all of a core.
"""

import subprocess
import sys

from .bench import Bench, Figures, Scene, scene
from .processes import cpu_us, family
from .streams import VIEWERS

_UPDATES = 2000
_MANY = 4
_REST_MS = 20


def missing() -> str | None:
    """Return why this measurement can't be run, None if it can."""
    argv = [sys.executable, "-m", "rpa_server", "serve", "--help"]
    help_text = subprocess.run(argv, capture_output=True, text=True, check=True)
    return None if "--workers" in help_text.stdout else "rpa-server serve has no option --workers"


def workers(bench: Bench, name: str) -> Figures:
    """Publish 2,000 updates as fast as possible to 4 sessions with 250 viewers each.

    Args:
        name: the peer: ``rpa-1`` or ``rpa-2``, named after its number of workers.
    """
    with scene(bench, name, "ws", viewers=VIEWERS, sessions=_MANY, rest_ms=_REST_MS) as under_load:
        under_load.warm_up(20, 20)
        before = _by_process(under_load)
        figures = under_load.measure(lambda: under_load.publisher.burst(_UPDATES))
        after = _by_process(under_load)
    busiest = max(after[pid] - before.get(pid, 0.0) for pid in after)
    return figures | {"ideal_per_s": (_UPDATES * VIEWERS // _MANY) / busiest * 1e6}


def _by_process(under_load: Scene) -> dict[int, float]:
    return {pid: cpu_us(pid) for pid in family(under_load.deployment.server.pid)}
