# Shared by the scripts of this folder: where things are, progress lines, quiet commands with a log,
# the builds. Sourced, never run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
logs="$root/build/logs"
started=$SECONDS

say() { printf '%s: %s\n' "${0##*/}" "$*"; }
die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# quietly <log name> <command...>: output goes to a file, which is shown only when the command
# fails.
quietly() {
  local log="$logs/$1.log"
  shift
  mkdir -p "$logs"
  if ! "$@" >"$log" 2>&1 </dev/null; then
    grep -nE 'error|FAILED|^E: ' "$log" | head -n 20 >&2 || true
    echo "--- the end of ${log#"$root"/}" >&2
    tail -n 25 "$log" >&2
    die "failed: $* (everything is in ${log#"$root"/})"
  fi
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Installed packages start their services; a redis-server of the system is not ours to start. The
# build and the tests only start private ones.
install_packages() {
  local policy=/usr/sbin/policy-rc.d ours=0 status=0
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
    as_root chmod 755 $policy
    ours=1
  fi
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "$@" || status=$?
  [ $ours -eq 0 ] || as_root rm -f $policy
  [ $status -eq 0 ] || return $status
  case " $* " in
    *" redis-server "*)
      if [ -d /run/systemd/system ]; then as_root systemctl disable -q redis-server; fi
      ;;
  esac
}

# The steps of a ninja build as one line that moves on a terminal, and as a line per tenth
# elsewhere.
show_steps() {
  local name=$1 line step total tenth=0 moving=0
  [ -t 1 ] && moving=1
  while IFS= read -r line; do
    [[ $line =~ ^\[([0-9]+)/([0-9]+)\] ]] || continue
    step=${BASH_REMATCH[1]} total=${BASH_REMATCH[2]}
    if [ $moving -eq 1 ]; then
      printf '\r%s: %d of %d steps ' "$name" "$step" "$total"
    elif [ $((10 * step / total)) -gt $tenth ] && [ "$total" -ge 20 ]; then
      tenth=$((10 * step / total))
      printf '%s: %d of %d steps\n' "$name" "$step" "$total"
    fi
  done
  [ $moving -eq 0 ] || printf '\n'
}

# Warnings are errors with the compilers that are known to give none; others may warn about more.
werror() {
  case "$("${CXX:-c++}" -dumpversion 2>/dev/null)" in
    12 | 12.*) echo ON ;;
    *) echo OFF ;;
  esac
}

# build <preset> [cmake cache arguments...]: configures and builds, only what changed.
build() {
  local preset=$1 log="$logs/build-$1.log" begin=$SECONDS
  shift
  quietly "configure-$preset" cmake --preset "$preset" -S "$root" "$@"
  mkdir -p "$logs"
  if ! NINJA_STATUS='[%f/%t] ' cmake --build "$root/build/$preset" --parallel "$(nproc)" 2>&1 |
    tee "$log" | show_steps "${0##*/}: build $preset"; then
    grep -nE -A 12 'error:|FAILED:|undefined reference' "$log" | head -n 60 >&2 || true
    die "the build failed (everything is in ${log#"$root"/})"
  fi
  say "built $preset in $((SECONDS - begin)) s"
}
