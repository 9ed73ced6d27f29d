#!/usr/bin/env bash
# Everything a fresh clone needs: npm packages, nats-server >= 2.10, ffmpeg, and the build. Says what
# it installs and asks nothing; with nothing to do it is done in well under a second.
#
#   deploy/setup.sh              what running Furrow needs
#   deploy/setup.sh --tests      also what the tests need: among it a nats-server 2.10 in
#                                .furrow-tools/nats-2.10/, the oldest version we support
#   deploy/setup.sh --nats-2.10  that one alone
#
# The program looks for nats-server in $FURROW_NATS_SERVER, then on PATH (if >= 2.10), then in
# .furrow-tools/bin of its own package root, where this script puts it.
#
# ONNXRUNTIME_NODE_INSTALL=cuda12 fetches onnxruntime's CUDA libraries too (see .npmrc).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly NATS_MINIMUM=2.10.0 NODE_MINIMUM=20.19.0
tools=$PWD/.furrow-tools
scratch=''
# The same clean-up on every way out, Ctrl-C included.
trap '[[ -z $scratch ]] || rm -rf "$scratch"' EXIT

say() { printf 'setup: %s\n' "$*"; }
die() {
  printf 'setup: %s\n' "$@" >&2
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# at_least HAVE WANT: compares dotted numbers; a suffix such as -dev is ignored. No `sort -V`: macOS
# before 13 has none.
at_least() {
  local -a have_parts want_parts
  IFS=. read -r -a have_parts <<<"${1%%[-+~]*}"
  IFS=. read -r -a want_parts <<<"$2"
  local i
  for i in 0 1 2; do
    ((10#${have_parts[i]:-0} == 10#${want_parts[i]:-0})) && continue
    ((10#${have_parts[i]:-0} > 10#${want_parts[i]:-0}))
    return
  done
}

# --- Node and the npm packages ---------------------------------------------------------------------

install_packages() {
  have node && have npm || die "Node $NODE_MINIMUM or newer is needed, with npm."
  local node_version stamp=node_modules/.furrow-setup wanted
  node_version=$(node -p 'process.versions.node')
  at_least "$node_version" "$NODE_MINIMUM" || die "Node $NODE_MINIMUM or newer is needed; this is $node_version."
  # Binaries differ by platform: a checkout shared between machines is installed anew.
  wanted="$(cksum <package-lock.json) $(uname -sm) ${ONNXRUNTIME_NODE_INSTALL:-skip}"
  [[ -f $stamp && "$(cat "$stamp")" == "$wanted" ]] && return
  say 'installing the npm packages (npm ci)'
  ONNXRUNTIME_NODE_INSTALL=skip npm ci --no-audit --no-fund --loglevel=error
  if [[ ${ONNXRUNTIME_NODE_INSTALL:-skip} != skip ]]; then
    say "fetching onnxruntime's $ONNXRUNTIME_NODE_INSTALL libraries"
    node node_modules/onnxruntime-node/script/install.js
  fi
  printf '%s\n' "$wanted" >"$stamp"
}

# --- Debian and Ubuntu -----------------------------------------------------------------------------

as_root() {
  if [[ $(id -u) == 0 ]]; then "$@"; else sudo -n "$@"; fi
}

# install_debian_packages WHY PACKAGE...: false where there is no apt or no right to use it.
install_debian_packages() {
  local why=$1
  shift
  have apt-get || return 1
  [[ $(id -u) == 0 ]] || { have sudo && sudo -n true 2>/dev/null; } || return 1
  say "installing $* with apt-get ($why)"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes apt-get install -y -qq --no-install-recommends "$@" >/dev/null </dev/null
}

# What the system's own apt sources say, one line each: URI|suite|component|keyring. Reads both formats;
# a keyring that is written out in the file (not a path) comes back empty.
apt_sources() {
  local file
  for file in /etc/apt/sources.list.d/*.sources; do
    [[ -f $file ]] || continue
    # Paragraphs, with continuation lines joined to their field. A comment ends no paragraph.
    { cat "$file"; echo; } | awk '
      function flush(  i, j, k, u, s, c) {
        if (tolower(field["enabled"]) != "no" && (" " field["types"] " ") ~ / deb /) {
          u = split(field["uris"], uri, " "); s = split(field["suites"], suite, " ")
          c = split(field["components"], component, " ")
          for (i = 1; i <= u; i++) for (j = 1; j <= s; j++) for (k = 1; k <= c; k++)
            print uri[i] "|" suite[j] "|" component[k] "|" (field["signed-by"] ~ /^ *\/[^ ]+ *$/ ? field["signed-by"] : "")
        }
        split("", field)
      }
      /^#/ { next }
      /^[ \t]*$/ { flush(); next }
      /^[ \t]/ { field[name] = field[name] " " $0; next }
      { name = tolower($0); sub(/:.*/, "", name); value = $0; sub(/^[^:]*:[ \t]*/, "", value); field[name] = value }'
  done
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [[ -f $file ]] || continue
    awk '
      $1 == "deb" {
        keyring = ""; line = $0; sub(/#.*/, "", line)
        if (match(line, /\[[^]]*\]/)) {
          options = substr(line, RSTART + 1, RLENGTH - 2); line = substr(line, 1, RSTART - 1) substr(line, RSTART + RLENGTH)
          if (match(options, /signed-by=\/[^ ]+/)) keyring = substr(options, RSTART + 10, RLENGTH - 10)
        }
        n = split(line, word, " ")
        for (i = 4; i <= n; i++) print word[2] "|" word[3] "|" word[i] "|" keyring
      }' "$file"
  done | tr -d '\t'
}

# fetch_debian_nats FOLDER VERSION_PREFIX SUITE...: unpacks the nats-server of the first suite that has
# one which fits and runs here. The system's mirror and keyring, but an apt of our own beside the
# system's: its sources, package lists and installed packages stay as they are, and apt checks the
# signatures as always. Works without root.
fetch_debian_nats() {
  local folder=$1 prefix=$2 id=$3 codename=$4
  shift 4
  local component=main
  [[ $id == ubuntu ]] && component=universe

  local uri='' keyring='' line_uri line_suite line_component line_keyring
  while IFS='|' read -r line_uri line_suite line_component line_keyring; do
    # The archive proper, not security, updates or a third party's: ours is the line of this release.
    case $line_suite in "$codename" | stable | testing | unstable | sid | devel) ;; *) continue ;; esac
    [[ $line_component == "$component" && -z $uri ]] || continue
    uri=$line_uri keyring=${line_keyring// /}
  done < <(apt_sources)
  [[ -n $uri ]] || { say "no $id mirror is configured in /etc/apt"; return 1; }
  [[ -n $keyring ]] || keyring=/usr/share/keyrings/$id-archive-keyring.gpg
  [[ -r $keyring ]] || { say "the keyring $keyring is missing"; return 1; }

  # Not in the checkout: as root, apt downloads as its own user, who may not look into a home folder.
  local root suite deb version
  root=$scratch/apt
  for suite in "$@"; do
    rm -rf "$root"
    mkdir -p "$root/lists/partial" "$root/cache/archives/partial" "$root/parts" "$root/download"
    chmod -R a+rX "$scratch"
    [[ $(id -u) != 0 ]] || ! id _apt >/dev/null 2>&1 || chown _apt "$root/download"
    printf 'deb [signed-by=%s] %s %s %s\n' "$keyring" "$uri" "$suite" "$component" >"$root/sources.list"
    # The system's configuration is still read (proxies, credentials), so that a mirror stays reachable.
    local -a apt=(apt-get -qq
      -o "Dir::Etc::sourcelist=$root/sources.list" -o Dir::Etc::sourceparts=/dev/null
      -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null
      -o "Dir::State::Lists=$root/lists" -o "Dir::Cache=$root/cache"
      -o APT::Update::Error-Mode=any -o Acquire::Languages=none -o Acquire::Retries=2
      -o 'APT::Update::Pre-Invoke::=' -o APT::Get::AllowUnauthenticated=false)
    say "looking for nats-server in $id $suite"
    "${apt[@]}" update </dev/null || { say "$id $suite cannot be read from the configured mirror"; continue; }
    (cd "$root/download" && "${apt[@]}" download nats-server </dev/null) || continue
    deb=$(echo "$root"/download/nats-server_*.deb)
    version=$(dpkg-deb -f "$deb" Version)
    if [[ $version != "$prefix"* ]] || ! at_least "${version#*:}" "$NATS_MINIMUM"; then
      say "$id $suite has nats-server $version: not what is wanted"
      continue
    fi
    rm -rf "$folder.new"
    mkdir -p "$folder.new"
    dpkg-deb --fsys-tarfile "$deb" | tar -xO ./usr/sbin/nats-server ./usr/bin/nats-server >"$folder.new/nats-server" 2>/dev/null || true
    chmod 755 "$folder.new/nats-server"
    # A later suite's binary may want a newer libc than this system's.
    if ! "$folder.new/nats-server" --version >/dev/null 2>&1; then
      say "nats-server $version of $id $suite does not run here"
      continue
    fi
    rm -rf "$folder"
    mv "$folder.new" "$folder"
    say "unpacked nats-server $version from $id $suite into ${folder#"$PWD/"}"
    return 0
  done
  return 1
}

# --- nats-server -----------------------------------------------------------------------------------

# nats_version BINARY: prints 2.10.27, or nothing.
nats_version() { "$1" --version 2>/dev/null | sed -n 's/^nats-server: v\{0,1\}\([0-9][0-9.]*\).*/\1/p'; }

good_nats() {
  local version
  [[ -n $1 ]] && have "$1" && version=$(nats_version "$1") && [[ -n $version ]] && at_least "$version" "$NATS_MINIMUM"
}

# Prints "ID CODENAME" of a Debian or Ubuntu, or fails.
debian_like() {
  have apt-get && have dpkg-deb && [[ -r /etc/os-release ]] || return 1
  # shellcheck disable=SC1091
  (. /etc/os-release && case $ID in debian | ubuntu) echo "$ID ${VERSION_CODENAME:-none}" ;; *) exit 1 ;; esac)
}

install_nats() {
  if [[ -n ${FURROW_NATS_SERVER:-} ]]; then
    good_nats "$FURROW_NATS_SERVER" || die "FURROW_NATS_SERVER=$FURROW_NATS_SERVER is not a nats-server >= $NATS_MINIMUM."
    return
  fi
  good_nats nats-server && return
  good_nats "$tools/bin/nats-server" && return
  local id codename
  if read -r id codename < <(debian_like); then
    say "nats-server >= $NATS_MINIMUM is not on PATH: fetching a package into .furrow-tools/, for this checkout alone"
    local -a suites=(sid trixie)
    [[ $id == ubuntu ]] && suites=(devel "$codename")
    scratch=${scratch:-$(mktemp -d)}
    fetch_debian_nats "$tools/bin" '' "$id" "$codename" "${suites[@]}" && return
  fi
  die "nats-server >= $NATS_MINIMUM is needed. Install it with:" "  $(nats_command)" \
    'or set FURROW_NATS_SERVER to one that is already here. Then run this again.'
}

install_old_nats() {
  [[ -x $tools/nats-2.10/nats-server ]] && return
  local id codename
  local remedy='Put one at .furrow-tools/nats-2.10/nats-server. The tests run on the oldest version too.'
  read -r id codename < <(debian_like) || die "nats-server 2.10 is fetched on Debian and Ubuntu only. $remedy"
  local -a suites=(trixie bookworm-backports)
  [[ $id == ubuntu ]] && suites=("$codename" noble plucky)
  scratch=${scratch:-$(mktemp -d)}
  fetch_debian_nats "$tools/nats-2.10" 2.10. "$id" "$codename" "${suites[@]}" ||
    die "no nats-server 2.10 was found. $remedy"
}

# The one command for this platform.
nats_command() {
  if have brew || [[ $(uname -s) == Darwin ]]; then
    echo 'brew install nats-server'
  elif have pacman; then
    echo 'sudo pacman -S nats-server'
  elif have apk; then
    echo 'sudo apk add nats-server'
  elif have nix-env; then
    echo 'nix-env -iA nixpkgs.nats-server'
  elif have go; then
    echo 'go install github.com/nats-io/nats-server/v2@latest'
  else
    echo 'see https://docs.nats.io/running-a-nats-service/introduction/installation'
  fi
}

# --- ffmpeg and what the tests want ----------------------------------------------------------------

install_ffmpeg() {
  have ffmpeg && have ffprobe && return
  install_debian_packages 'video work' ffmpeg && have ffmpeg && have ffprobe && return
  local command='install ffmpeg and ffprobe'
  if have brew || [[ $(uname -s) == Darwin ]]; then
    command='brew install ffmpeg'
  elif have apt-get; then
    command='sudo apt-get install -y ffmpeg'
  elif have dnf; then
    command='sudo dnf install -y ffmpeg-free'
  elif have pacman; then
    command='sudo pacman -S ffmpeg'
  elif have apk; then
    command='sudo apk add ffmpeg'
  fi
  die 'ffmpeg and ffprobe are needed. Install them with:' "  $command" 'Then run this again.'
}

python_with_grpc() {
  local python
  for python in python3 /usr/bin/python3; do
    have "$python" && "$python" -c 'import google.protobuf, grpc' 2>/dev/null || continue
    # Stubs are generated by the protoc that fits its protobuf: Debian's, else that of grpcio-tools.
    { have protoc && have grpc_python_plugin; } || "$python" -c 'import grpc_tools' 2>/dev/null || continue
    return
  done
  return 1
}

# Where it cannot be had the tests of the sandbox are skipped.
install_bubblewrap() {
  [[ $(uname -s) != Linux ]] || have bwrap || install_debian_packages 'the tests run programs in its sandbox' bubblewrap || say 'no bubblewrap: tests of the sandbox are skipped'
}

install_test_tools() {
  install_python_tools
  install_deploy_tools
}

# For deploy/: its scripts are checked by shellcheck, and its units by systemd's own tools.
install_deploy_tools() {
  local -a missing=()
  have shellcheck || missing+=(shellcheck)
  have systemd-analyze || missing+=(systemd)
  have setpriv || missing+=(util-linux)
  ((${#missing[@]} > 0)) || return 0
  install_debian_packages 'the tests check deploy/' "${missing[@]}" && have shellcheck && have systemd-analyze && return
  die 'The tests check what deploy/ holds. Install for them:' "  ${missing[*]}" 'Then run this again.'
}

install_python_tools() {
  # examples/ has a service in Python. A python3 of one's own on PATH does not see Debian's packages, so
  # the system's is tried as well; the tests choose in the same order.
  python_with_grpc && return
  install_debian_packages 'the tests run the Python example' python3-grpcio protobuf-compiler-grpc && python_with_grpc && return
  die 'The tests run the Python example, which needs grpcio and its protoc. Install them with:' \
    "  $(have apt-get && echo 'sudo apt-get install -y python3-grpcio protobuf-compiler-grpc' || echo 'python3 -m pip install --user grpcio grpcio-tools')" \
    'Then run this again.'
}

# Tests render with it; without it they are skipped.
install_blender() {
  have blender || install_debian_packages 'tests render with it' blender || say 'no Blender: tests that render are skipped'
}

# A test sets the clocks of processes with it; without it that test is skipped.
install_faketime() {
  compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null && return
  install_debian_packages 'a test sets clocks' faketime || say 'libfaketime cannot be had: the test that sets clocks is skipped'
}

# --- The order of things ---------------------------------------------------------------------------

tests='' old_nats=''
for argument in "$@"; do
  case $argument in
    --tests) tests=1 old_nats=1 ;;
    --nats-2.10) old_nats=1 ;;
    *) die "unknown argument $argument; see the head of deploy/setup.sh" ;;
  esac
done

# Two at once (say `npm start` beside `npm test`) would pull node_modules from under each other.
mkdir -p "$tools"
if have flock; then
  exec 9>"$tools/.lock"
  flock -n 9 || { say 'waiting for another set-up of this checkout'; flock 9; }
fi

install_packages
install_nats
[[ -z $old_nats ]] || install_old_nats
install_ffmpeg
if [[ -n $tests ]]; then
  install_test_tools
  install_bubblewrap
  install_faketime
  install_blender
fi
bash deploy/build.sh
