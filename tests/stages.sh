# Stages of a long check: each is timed, none hides another, and the last line counts them.
# Sourced by bash scripts. A script that another one runs adds its stages to that one's table.
# shellcheck shell=bash

if [[ -z ${STAGES_TABLE:-} ]]; then
  STAGES_TABLE=$(mktemp)
  export STAGES_TABLE
  # shellcheck disable=SC2034
  stages_owner=yes
  trap 'rm -f "$STAGES_TABLE" "$STAGES_TABLE.failed"' EXIT
fi

# stage NAME COMMAND...: runs it, and notes how it went.
stage() {
  local name=$1 began=$SECONDS result=ok log out copier
  shift
  log=$(mktemp)
  printf '\n=== %s\n' "$name"
  if [[ -t 1 ]]; then
    # Whoever looks on has seen it.
    "$@" || result=FAILED
  else
    exec {out}> >(exec tee "$log")
    copier=$!
    "$@" >&"$out" 2>&1 {out}>&- || result=FAILED
    exec {out}>&-
    wait "$copier" || true
  fi
  note_stage "$result" "$((SECONDS - began))" "$name" "$log"
  rm -f "$log"
}

# note_stage RESULT SECONDS NAME LOG: where it failed, the end of the log stands again above the table, for who reads only the
# end of all.
note_stage() {
  printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$STAGES_TABLE"
  [[ $1 != ok ]] || return 0
  printf '=== %s: FAILED\n' "$3"
  { printf '\n=== the end of: %s\n' "$3"; tail -n 60 "$4"; } >>"$STAGES_TABLE.failed"
}

# beside NAME COMMAND...: the same beside the stages that follow, for what leaves a processor idle. Whoever begins one
# calls `joined`, which prints what it said.
beside_names=() beside_logs=() beside_pids=()
beside() {
  local name=$1 log
  shift
  log=$(mktemp)
  (
    SECONDS=0
    "$@" >"$log" 2>&1 && result=ok || result=FAILED
    printf '%s\t%s\n' "$result" "$SECONDS" >"$log.result"
  ) &
  beside_names+=("$name") beside_logs+=("$log") beside_pids+=($!)
}

# Waits for all that were begun beside.
joined() {
  local number log result seconds
  for number in "${!beside_pids[@]}"; do
    wait "${beside_pids[number]}" || true
    log=${beside_logs[number]} result=FAILED seconds=0
    [[ ! -e $log.result ]] || read -r result seconds <"$log.result"
    printf '\n=== %s\n' "${beside_names[number]}"
    cat "$log"
    note_stage "$result" "$seconds" "${beside_names[number]}" "$log"
    rm -f "$log" "$log.result"
  done
  beside_names=() beside_logs=() beside_pids=()
}

# skip NAME WHY: the machine cannot do it. With CI=true that is a failure.
skip() {
  local result=skipped
  [[ ${CI:-} != true ]] || result=FAILED
  printf '\n=== %s: cannot run here: %s\n' "$1" "$2"
  printf '%s\t0\t%s: %s\n' "$result" "$1" "$2" >>"$STAGES_TABLE"
}

# Prints the table and, last of all, the counts; returns 1 where something failed.
stages_end() {
  if [[ ${stages_owner:-} == yes ]]; then
    [[ ! -e $STAGES_TABLE.failed ]] || cat "$STAGES_TABLE.failed"
    printf '\n%8s %8s  %s\n' result seconds stage
    awk -F '\t' '{ printf "%8s %8d  %s\n", $1, $2, $3 }' "$STAGES_TABLE"
    printf '%8s %8d  in all, some of it side by side\n' "" "$SECONDS"
    awk -F '\t' '{ n[$1]++ } END {
      printf "\nstages: %d passed, %d failed", n["ok"], n["FAILED"]
      if (n["skipped"]) printf ", %d skipped", n["skipped"]
      print "" }' "$STAGES_TABLE"
  fi
  ! grep -q '^FAILED' "$STAGES_TABLE"
}
