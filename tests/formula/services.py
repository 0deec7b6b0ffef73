"""Holds what macOS is told of the service against what is promised: the plist of packaging/launchd with its
configuration and its log's rotation, and the plist and the unit that Homebrew makes of the formula.

services.py PHILOTE [BREW_PLIST BREW_UNIT]
"""

import pathlib
import plistlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import tomllib

PROJECT = pathlib.Path(__file__).resolve().parents[2]
LAUNCHD = PROJECT / "packaging/launchd"
PATIENCE = 20


def load(path):
    return plistlib.loads(pathlib.Path(path).read_bytes())


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]


def effective(philote, key, *arguments):
    """What a configuration says of a key."""
    command = [philote, "check", "--print", *arguments]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return re.search(rf'^{re.escape(key)} = "(.*)"  #', told, re.MULTILINE).group(1)


def until(what, holds):
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"never so: {what}"
        time.sleep(0.02)


def launchd(philote):
    path, = LAUNCHD.glob("*.plist")
    plist = load(path)
    # launchd wants the file to be called so.
    assert plist["Label"] == path.stem
    # Anything else than root.
    assert plist["UserName"] == plist["GroupName"] == "_philote"
    assert plist["RunAtLoad"] is True
    assert plist["KeepAlive"] == {"SuccessfulExit": False}
    for limits in ("SoftResourceLimits", "HardResourceLimits"):
        assert plist[limits]["NumberOfFiles"] >= 65536
    assert plist["HardResourceLimits"]["Core"] == 0
    config = tomllib.loads((LAUNCHD / "config.toml").read_text())
    with tempfile.NamedTemporaryFile("w") as defaults:
        defaults.write('auth.secret = ""\n')
        defaults.flush()
        default = effective(philote, "shutdown.drain_timeout", "--config", defaults.name)
    drain = config["shutdown"].get("drain_timeout", default)
    assert plist["ExitTimeOut"] > seconds(drain), drain
    log = pathlib.Path(config["log"]["output"])
    assert pathlib.Path(plist["StandardErrorPath"]).parent == log.parent
    rotation(plist, log)
    as_launchd_runs_it(philote, plist["ProgramArguments"])


def rotation(plist, log):
    lines = (PROJECT / "packaging/newsyslog.conf").read_text().splitlines()
    line, = [line.split() for line in lines if line and not line.startswith("#")]
    path, owner, mode, count, size, when, flags, pid_file, number = line
    assert path == str(log)
    assert owner == "_philote:_philote"
    assert (mode, count, flags) == ("640", "8", "J")
    assert int(size) > 0 and re.fullmatch(r"\$W[0-6]D\d+", when)
    assert f">{pid_file};" in plist["ProgramArguments"][2]
    # SIGUSR1 of macOS.
    assert number == "30"


def as_launchd_runs_it(philote, arguments):
    """The command of the plist, in directories of this test's own: its file names the process, and SIGUSR1 to that has
    the log opened anew."""
    with tempfile.TemporaryDirectory() as scratch:
        here = pathlib.Path(scratch)

        def moved(text):
            for old, new in (
                ("/usr/local/bin/philote", philote),
                ("/usr/local/var/", f"{here}/"),
                ("/etc/philote/", f"{here}/"),
            ):
                text = text.replace(old, new)
            return text

        for directory in ("run/philote", "log/philote"):
            (here / directory).mkdir(parents=True)
        config = moved((LAUNCHD / "config.toml").read_text())
        (here / "config.toml").write_text(f'listen = ["127.0.0.1:0"]\n{config}')
        (here / "secret").touch(mode=0o600)
        (here / "secret").write_text("5ec2e7" * 10 + "\n")
        log = here / "log/philote/philote.log"
        with subprocess.Popen([moved(argument) for argument in arguments]) as server:
            try:
                until("it is ready", lambda: log.exists() and "event=ready" in log.read_text())
                assert int((here / "run/philote/philote.pid").read_text()) == server.pid
                status = [philote, "status", "--control", here / "run/philote/control.sock"]
                assert b"running, up for" in subprocess.run(status, capture_output=True, check=True).stdout
                log.rename(f"{log}.0")
                server.send_signal(signal.SIGUSR1)
                until("the log is opened anew", lambda: log.exists() and "event=log_reopened" in log.read_text())
            finally:
                server.terminate()
            assert server.wait(PATIENCE) == 0


def homebrew(philote, plist_path, unit_path):
    plist = load(plist_path)
    prefix = pathlib.Path(philote).parents[3]
    assert plist["Label"] == "homebrew.mxcl.philote"
    assert plist["ProgramArguments"] == [philote, "serve"]
    assert plist["RunAtLoad"] is True
    assert plist["KeepAlive"] == {"SuccessfulExit": False}
    assert plist["ProcessType"] == "Interactive"
    # The log is the configuration's, so that it can be rotated.
    assert "StandardOutPath" not in plist
    log = pathlib.Path(effective(philote, "log.output"))
    assert log.is_relative_to(prefix)
    assert pathlib.Path(plist["StandardErrorPath"]).parent == log.parent
    assert effective(philote, "control.socket") == f"{prefix}/var/run/philote/control.sock"
    # brew cannot say how long launchd waits before it kills; a few seconds, where nothing is said.
    assert seconds(effective(philote, "shutdown.drain_timeout")) < 5
    assert "Restart=on-failure" in pathlib.Path(unit_path).read_text()


launchd(sys.argv[1])
if len(sys.argv) > 2:
    homebrew(*sys.argv[1:])
print("the services are as promised")
