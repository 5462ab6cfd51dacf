"""Two trainings on one machine, side by side."""

import os


def share_cores() -> None:
    """Threads that wait for each other sleep, unless the environment says otherwise; torch is not loaded yet.

    By default they spin for some milliseconds at the end of each loop. Where another training wants the cores as well,
    they spin on a core that the thread they wait for needs, and both trainings are many times slower than alone.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
