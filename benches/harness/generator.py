"""One run of wsload against a server that is up, and what its report says."""

import json
import subprocess

from .machine import pinned
from .servers import Failed

# Beyond its own --timeout, for starting and for closing thousands of connections.
GRACE_SECONDS = 30


def run(wsload, running, core, words, timeout=60, allow=()):
    """Runs a scenario; its report. Exit codes other than 0 and `allow` are failures."""
    command = [wsload, *words.split(), *running.words(), "--json", "--timeout", str(timeout)]
    try:
        ended = subprocess.run(
            pinned(command, core), capture_output=True, text=True, timeout=timeout + GRACE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"{words}: wsload was not done in time") from None
    try:
        report = json.loads(ended.stdout)
    except json.JSONDecodeError:
        raise Failed(f"{words}: {ended.stderr.strip() or 'wsload said nothing'}") from None
    if ended.returncode and ended.returncode not in allow:
        raise Failed(f"{words}: {complaint(report, ended)}")
    return report


def complaint(report, ended):
    """What went wrong, in one line."""
    if "error" in report:
        return report["error"]
    counts = ("lost", "duplicated", "out_of_order", "unexpected", "disconnected", "end")
    told = ", ".join(f"{name} {report[name]}" for name in counts if report.get(name))
    return f"wsload ended with {ended.returncode}: {told or ended.stderr.strip()}"


def disturbance(report):
    """The share of one core that everything else on the machine took meanwhile."""
    machine, wall = report.get("machine") or {}, report.get("wall_s") or 0
    return machine.get("other_cpu_s", 0) / wall if wall else 0.0
