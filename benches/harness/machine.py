"""The machine: which two cores are measured on, and the facts that belong beside every figure."""

import os
import platform
import re
import shutil
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What is built goes here.
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()


class Unfit(Exception):
    """What to tell of a machine that nothing can be measured on."""


def cores():
    """The core of the server and the core of the generator: the first two that this process may use."""
    if not hasattr(os, "sched_getaffinity"):
        raise Unfit("the generator and pinning need Linux")
    if not shutil.which("taskset"):
        raise Unfit("taskset is missing: apt-get install util-linux")
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise Unfit("two cores are needed: one for the server, one for the generator")
    return usable[0], usable[1]


def pinned(command, core):
    """The command, held to one core, or to several where a list of them is given."""
    where = core if isinstance(core, str) else str(core)
    return ["taskset", "-c", where, *map(str, command)]


def facts():
    """What a reader has to know of the machine to make anything of a figure."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cpu": field("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": int(field("/proc/meminfo", "MemTotal").split()[0]) // 1024,
        "virtual": "hypervisor" in field("/proc/cpuinfo", "flags").split(),
        "kernel": platform.release(),
        "distribution": distribution(),
        "congestion_control": Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip(),
        "rustc": said(["rustc", "--version"]),
    }


def distribution():
    """The name of the distribution."""
    found = re.search(r'^PRETTY_NAME="?(.*?)"?$', Path("/etc/os-release").read_text(), re.MULTILINE)
    return found[1] if found else "unknown"


def field(path, name):
    """The value of the first line `name : value` of a file of /proc."""
    found = re.search(rf"^{re.escape(name)}\s*:\s*(.*)$", Path(path).read_text(), re.MULTILINE)
    return found[1].strip() if found else "unknown"


def said(command):
    """What a command prints on both streams, or nothing where it cannot be run."""
    try:
        run = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return run.stdout.strip() if run.returncode == 0 else ""
