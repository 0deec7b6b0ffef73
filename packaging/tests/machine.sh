# What the scripts share that booted-debian runs: they source it. The package stands beside it.
# shellcheck shell=bash

set -Eeuo pipefail
# told LINE COMMAND: where a script ended. What fails in a substitution is not its end.
told() {
  ((BASH_SUBSHELL == 0)) || return 0
  echo "${0##*/}: line $1: $2" >&2
  [[ ! -e said ]] || cat said >&2
  systemctl status --no-pager philote >&2 || true
  journalctl --no-pager --lines=40 >&2 || true
}
trap 'told "$LINENO" "$BASH_COMMAND"' ERR

property() { systemctl show --value --property="$1" "${2:-philote}"; }
# is PROPERTY VALUE [UNIT]
is() { [[ $(property "$1" "${3:-philote}") == "$2" ]]; }
# fails COMMAND...: what it says is in the file `said`.
fails() {
  if "$@" >said 2>&1; then
    echo "succeeded, and should not: $*" >&2
    return 1
  fi
}
# until_true COMMAND...: for what nothing announces.
until_true() {
  for _ in {1..200}; do
    if "$@"; then return; fi
    sleep 0.05
  done
  echo "not within ten seconds: $*" >&2
  return 1
}
reachable() { curl --silent --fail --max-time 5 --output /dev/null "http://127.0.0.1:${1:-6380}/readyz"; }
unreachable() { ! reachable "$@"; }
another_process() { local now; now=$(property MainPID) && [[ $now != 0 && $now != "$1" ]]; }
# stands TEXT: the configuration is this text, in the file that the package has made.
stands() { printf '%s\n' "$1" >/etc/philote/config.toml; }
says() { philote status --json | grep "\"$1\": *$2\b" >/dev/null; }

# hears_1001 COMMAND...: an open connection gets its Close 1001 while the command runs.
hears_1001() {
  python3 - "$(philote token --read c)" "$@" <<'PYTHON'
import socket, subprocess, sys

link = socket.create_connection(("127.0.0.1", 6380))
link.settimeout(20)
link.sendall((
    f"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    f"Authorization: Bearer {sys.argv[1]}\r\n\r\n").encode())
head = b""
while b"\r\n\r\n" not in head:
    head += link.recv(4096)
assert b" 101 " in head, head
with subprocess.Popen(sys.argv[2:]) as command:
    frame = b""
    while len(frame) < 4:
        more = link.recv(4096)
        assert more, frame
        frame += more
    assert frame[0] == 0x88 and frame[2:4] == b"\x03\xe9", frame
    link.sendall(bytes([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9]))
    link.close()
assert command.returncode == 0, command.returncode
PYTHON
}

# passes_messages: a client with a token of the configuration's secret hears what another one says.
passes_messages() {
  python3 - "$(philote token --read c --write c)" <<'PYTHON'
import json, socket, sys

def client():
    link = socket.create_connection(("127.0.0.1", 6380))
    link.settimeout(5)
    link.sendall((
        f"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        f"Authorization: Bearer {sys.argv[1]}\r\n\r\n").encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += link.recv(1)
    assert b" 101 " in head, head
    return link

reader, writer = client(), client()
message = json.dumps({"channel": "c", "data": "hello"}).encode()
writer.sendall(bytes([0x81, 0x80 | len(message), 0, 0, 0, 0]) + message)
frame = reader.recv(2)
while len(frame) < 2 + frame[1]:
    frame += reader.recv(4096)
heard = json.loads(frame[2:])
assert (heard["channel"], heard["data"]) == ("c", "hello"), heard
PYTHON
}
