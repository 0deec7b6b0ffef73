# apt-get for another release of Debian than this machine's, or for another root: sourced by bash scripts.
# shellcheck shell=bash

# apt_of SUITE DIRECTORY STATUS ARGUMENTS...: apt-get for this release, in a DIRECTORY of its own, for a root whose packages
# STATUS lists (a file as dpkg keeps it). What it says is in DIRECTORY/log. Needs Debian's keyring.
apt_of() {
  local suite=$1 directory=$2 status=$3
  shift 3
  mkdir -p "$directory"/{lists,archives}/partial
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $suite main" \
    >"$directory/sources.list"
  (cd "$directory" && apt-get -qq -o Dir::State="$directory" -o Dir::State::status="$status" -o Dir::Cache="$directory" \
    -o Dir::Etc::SourceList="$directory/sources.list" -o Dir::Etc::SourceParts=- -o Dir::Etc::Preferences=- \
    -o Dir::Etc::PreferencesParts=- -o Acquire::Languages=none -o APT::Sandbox::User=root "$@") >>"$directory/log" 2>&1 || {
    tail -n 20 "$directory/log" >&2
    echo "apt of $suite: failed, see $directory/log" >&2
    return 1
  }
}
