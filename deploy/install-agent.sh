#!/usr/bin/env bash
# Makes this machine (Debian, Ubuntu and their like) an agent of a farm: a service that starts with it, as a
# user of its own. Done twice it changes nothing; when a step fails, those before it are taken back.
#
#   install-agent.sh [OPTIONS] 'furrow://HOST:PORT?ca=…&token=…'    installs, joins the farm, starts
#   install-agent.sh --upgrade [OPTIONS]      another version in place of this one; when it does not start, back.
#                                             Options are not remembered, but for the name
#   install-agent.sh --remove [--purge]       stops and removes it; --purge: settings, state and user, too
#
#   --url-file FILE   where the farm's URL is, - for standard input: a command line can be read by all users
#   --package FILE.tgz|NAME@VERSION   what to install (default: what this script is a part of)
#   --name NAME       the agent's name (default: the machine's)
#   --node FILE       Node's own archive for this machine, to be used by the agent alone
#   --without-onnx    300 MB less, and no ONNX models
#   --no-join         installs only; for images, which must not share one agent's identity
#
# Where: /opt/furrow/releases/ID and /opt/furrow/current, /usr/local/bin/furrow, /etc/furrow/agent.env,
# /var/lib/furrow, /etc/systemd/system/furrow-agent.service. With FURROW_ROOT=DIR all of that in a system's
# image that lies in DIR; then nothing is started, and no system packages are installed.
set -euo pipefail
umask 022

readonly UNIT=furrow-agent.service ACCOUNT=furrow NODE_MINIMUM=20.19.0
readonly ROOT=${FURROW_ROOT:+$(realpath -- "$FURROW_ROOT")}
readonly OPT=$ROOT/opt/furrow ETC=$ROOT/etc/furrow STATE=$ROOT/var/lib/furrow
readonly COMMAND=$ROOT/usr/local/bin/furrow UNIT_FILE=$ROOT/etc/systemd/system/$UNIT
# What units may write, root does not: the mark of which farm was joined is not in the state folder.
readonly SETTINGS=$ETC/agent.env JOINED=$ETC/joined

say() { printf 'install-agent: %s\n' "$*"; }
die() {
  printf 'install-agent: %s\n' "$@" >&2
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# --- Taking back -----------------------------------------------------------------------------------

scratch='' undo=()
# on_failure COMMAND...: what is to be done should a later step fail; the latest is done first.
on_failure() {
  local line
  printf -v line '%q ' "$@"
  undo+=("$line")
}
finish() {
  local status=$? i
  trap - EXIT INT TERM HUP
  set +e
  if ((status != 0 && ${#undo[@]} > 0)); then
    printf 'install-agent: taking back what was done\n' >&2
    for ((i = ${#undo[@]} - 1; i >= 0; i--)); do eval "${undo[i]}" >/dev/null 2>&1; done
  fi
  [[ -z $scratch ]] || rm -rf "$scratch"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

# make_folder PATH MODE [UID GID]
make_folder() {
  [[ ! -d $1 ]] || return 0
  on_failure rmdir "$1"
  install -d -m "$2" ${3:+-o "$3" -g "$4"} "$1"
}

# Whether the service must be started again.
has_changed=''

# put FILE MODE [GROUP] <CONTENT: replaces it in one step, and only when it differs.
put() {
  local new=$scratch/put
  cat >"$new"
  if [[ -f $1 ]] && cmp -s "$new" "$1"; then return; fi
  has_changed=1
  if [[ -f $1 ]]; then
    cp -p "$1" "$scratch/${1##*/}.before"
    on_failure cp -p "$scratch/${1##*/}.before" "$1"
  else
    on_failure rm -f "$1"
  fi
  install -m "$2" ${3:+-g "$3"} "$new" "$1.new"
  mv -f "$1.new" "$1"
}

# point LINK TARGET: as `put`.
point() {
  local before
  before=$(readlink "$1" || true)
  [[ $before != "$2" ]] || return 0
  has_changed=1
  if [[ -n $before ]]; then on_failure ln -sfn "$before" "$1"; else on_failure rm -f "$1"; fi
  ln -sfn "$2" "$1.new"
  mv -fT "$1.new" "$1"
}

# --- What the system must have ---------------------------------------------------------------------

# new_enough NODE: of the version that we need, and where the service's user may look.
new_enough() {
  case $(realpath -- "$1") in /root/* | /home/*) return 1 ;; esac
  "$1" -e "const w='$NODE_MINIMUM'.split('.').map(Number), h=process.versions.node.split('.').map(Number);
    process.exit(h[0] > w[0] || (h[0] === w[0] && h[1] >= w[1]) ? 0 : 1)" 2>/dev/null
}

# Prints the path of a good one, or nothing.
node_on_path() {
  local candidate
  while IFS= read -r candidate; do
    if new_enough "$candidate"; then
      printf '%s' "$candidate"
      return
    fi
  done < <(type -aP node)
}

add_packages() {
  ((${#missing[@]} > 0)) || return 0
  [[ -z $ROOT ]] || { say "the image needs: ${missing[*]}"; return 0; }
  have apt-get || die "this needs ${missing[*]}, and there is no apt-get here: install them, then run this again"
  say "installing ${missing[*]} with apt-get"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null </dev/null
}

prepare_system() {
  [[ -n $ROOT || -d /run/systemd/system ]] || die 'systemd does not run this machine: start the agent by other means (furrow agent --help)'
  local node
  missing=()
  node=$(node_on_path)
  if [[ -z $node_archive && -z $node ]]; then
    dpkg --compare-versions "$(apt-cache policy nodejs 2>/dev/null | sed -n 's/^ *Candidate: //p')" ge "$NODE_MINIMUM" 2>/dev/null ||
      die "Node $NODE_MINIMUM or newer is needed, and this system's packages have none: give Node's own archive with --node FILE" \
        '(a node under /home or /root does not count: the service may not look there)'
    missing+=(nodejs npm)
  fi
  have ffmpeg && have ffprobe || missing+=(ffmpeg)
  # Walls units off from the machine and from one another.
  have bwrap || missing+=(bubblewrap)
  add_packages
}

# --- The package -----------------------------------------------------------------------------------

# Prints the package as a file.
fetch_package() {
  local here
  case $package in
    *.tgz | *.tar.gz)
      [[ -f $package ]] || die "there is no package $package"
      realpath -- "$package"
      return
      ;;
    '')
      here=$(realpath -- "$(dirname -- "${BASH_SOURCE[0]:-$0}")/..")
      [[ -f $here/package.json && -f $here/dist/cli/main.js ]] ||
        die 'this script is not in a built copy of Furrow: say --package FILE.tgz (made by npm pack), or --package NAME@VERSION'
      package=$here
      ;;
  esac
  (cd "$scratch" && npm pack --silent --ignore-scripts "$package" >packed) || die "cannot fetch the package $package"
  printf '%s/%s' "$scratch" "$(tail -n 1 "$scratch/packed")"
}

# Installs it beside what runs, under a name that says what is in it, and sets `release`. Nothing of it is seen
# before it is whole and has said its version.
install_release() {
  local file version stage node=''
  if [[ -n $node_archive ]]; then use_own_node; else node=$(node_on_path); fi
  [[ -n $node ]] || die "there is no Node $NODE_MINIMUM or newer on PATH"
  PATH=$(dirname "$node"):$PATH
  file=$(fetch_package)
  version=$(tar -xOzf "$file" package/package.json | "$node" -e '
    const { name, version } = JSON.parse(require("fs").readFileSync(0, "utf8"));
    console.log(name === "furrow" ? version : "")') || die "$file is no npm package"
  [[ -n $version ]] || die "$file is not the package furrow"
  release=$version-$({
    cat "$file"
    printf '%s %s %s' "${node_archive:-$node}" "$("$node" --version)" "$without_onnx"
  } | sha256sum | cut -c 1-12)
  [[ ! -d $OPT/releases/$release ]] || return 0
  say "installing furrow $version"
  make_folder "$OPT" 755
  make_folder "$OPT/releases" 755
  stage=$OPT/releases/.new
  on_failure rm -rf "$stage" "$OPT/releases/$release"
  rm -rf "$stage"
  mkdir -p "$stage/bin"
  # Not --global: npm then installs what --omit leaves out. Install scripts are not needed, and fetch things.
  (umask 022 && npm install --prefix "$stage" --ignore-scripts --omit=dev ${without_onnx:+--omit=optional} --prefer-offline \
    --no-package-lock --no-audit --no-fund --loglevel=error "$file" >/dev/null) || die 'npm could not install the package'
  # Last: npm was of it.
  [[ -z $node_archive ]] || mv "$scratch/node" "$stage/node"
  if [[ -z $node_archive ]]; then printf -v node '%q' "$node"; else node="\"\$here/../node/bin/node\""; fi
  cat >"$stage/bin/furrow" <<WRAPPER
#!/bin/sh
# Made by install-agent.sh.
here=\$(dirname "\$(readlink -f "\$0")")
exec $node "\$here/../node_modules/furrow/dist/cli/main.js" "\$@"
WRAPPER
  chmod 755 "$stage/bin/furrow"
  [[ $("$stage/bin/furrow" --version) == "$version" ]] || die "the package's program does not run: $file"
  mv -T "$stage" "$OPT/releases/$release"
}

use_own_node() {
  mkdir "$scratch/node"
  tar -xf "$node_archive" -C "$scratch/node" --strip-components=1 --no-same-owner || die "cannot unpack $node_archive"
  node=$scratch/node/bin/node
  new_enough "$node" || die "$node_archive holds no Node $NODE_MINIMUM or newer for this machine"
}

# What ran before is kept, to go back to.
prune_releases() {
  local folder
  for folder in "$OPT"/releases/*/; do
    case $(basename "$folder") in "$release" | "${previous:-$release}") ;; *) rm -rf "$folder" ;; esac
  done
}

# --- The user, its folders and its farm ------------------------------------------------------------

account_id() { sed -n "s/^$ACCOUNT:[^:]*:\([0-9]*\):.*/\1/p" "$ROOT/etc/$1"; }

# `--prefix` edits an image's files; for this machine it must not be given.
for_accounts() { "$1" ${ROOT:+--prefix "$ROOT"} "${@:2}"; }

remove_account() {
  [[ -z $(account_id passwd) ]] || for_accounts userdel "$ACCOUNT" 2>/dev/null || true
  [[ -z $(account_id group) ]] || for_accounts groupdel "$ACCOUNT" 2>/dev/null || true
}

make_account() {
  local group
  if [[ -z $(account_id passwd) ]]; then
    on_failure remove_account
    for_accounts useradd --system --user-group --home-dir /var/lib/furrow --no-create-home --shell /usr/sbin/nologin "$ACCOUNT"
  fi
  # Of these are the devices of GPUs.
  for group in video render; do
    grep -q "^$group:" "$ROOT/etc/group" || continue
    grep -Eq "^$group:.*[:,]$ACCOUNT(,|$)" "$ROOT/etc/group" || for_accounts usermod -aG "$group" "$ACCOUNT"
  done
}

make_folders() {
  make_folder "$STATE" 700 "$(account_id passwd)" "$(account_id group)"
  make_folder "$ETC" 755
  [[ -f $SETTINGS ]] || put "$SETTINGS" 640 "$(account_id group)" <<ENV
# Settings of this machine's agent, FURROW_AGENT_… as \`furrow agent --help\` has them. After a change:
# systemctl restart furrow-agent
FURROW_AGENT_NAME=$name
#FURROW_AGENT_MODE=idle
#FURROW_AGENT_ON_BUSY=evict
#FURROW_AGENT_CPUS=8
#FURROW_AGENT_RAM=16GiB
ENV
}

choose_name() {
  local known=''
  [[ ! -f $SETTINGS ]] || known=$(sed -n 's/^FURROW_AGENT_NAME=//p' "$SETTINGS")
  [[ -z $known || -z $name || $name == "$known" ]] ||
    die "this machine's agent is called $known already: --remove --purge it first, or leave --name out"
  name=${known:-${name:-$(hostname | tr -c 'A-Za-z0-9_.\n-' - | cut -c 1-64)}}
  [[ $name =~ ^[A-Za-z0-9_.-]{1,64}$ ]] || die "'$name' is no name for an agent: letters, digits, dots, dashes, underscores"
}

# The URL holds a secret: it goes through the environment, which only the user itself and root can read.
join_farm() {
  local mark main=$OPT/releases/$release
  mark=$(printf '%s %s' "$name" "$url" | sha256sum | cut -d ' ' -f 1)
  [[ ! -f $JOINED || $(cat "$JOINED") != "$mark" ]] || return 0
  say "joining the farm as $name"
  [[ -d $STATE/agents ]] || on_failure rm -rf "$STATE/agents"
  [[ -d $STATE/agents/$name ]] || on_failure rm -rf "$STATE/agents/$name"
  (
    cd "$STATE"
    export FURROW_HOME=$STATE HOME=$STATE FURROW_JOIN_URL=$url FURROW_JOIN_NAME=$name FURROW_JOIN_MAIN=$main/node_modules/furrow/dist/cli/main.js
    if [[ -n $node_archive ]]; then node=$main/node/bin/node; else node=$(node_on_path); fi
    exec setpriv --reuid "$(account_id passwd)" --regid "$(account_id group)" --clear-groups "$node" --input-type=module -e '
      const { FURROW_JOIN_URL: url, FURROW_JOIN_NAME: name, FURROW_JOIN_MAIN: main } = process.env;
      delete process.env.FURROW_JOIN_URL;
      process.argv = [process.execPath, main, "join", url, "--name", name];
      await import(main);'
  ) || die 'this machine could not join the farm (see above)'
  put "$JOINED" 600 <<<"$mark"
}

# --- The service -----------------------------------------------------------------------------------

service() { systemctl ${ROOT:+--root="$ROOT"} "$@"; }
is_running() { [[ -z $ROOT ]] && systemctl is-active --quiet "$UNIT"; }

# Should a later step fail: runs last, when files and links are as they were.
service_as_before() {
  [[ -z $ROOT ]] || return 0
  systemctl daemon-reload
  [[ -z $1 ]] || systemctl restart "$UNIT"
}

start_service() {
  local state
  if [[ ! -L $ROOT/etc/systemd/system/multi-user.target.wants/$UNIT ]]; then
    on_failure service disable "$UNIT"
    service enable --quiet "$UNIT"
  fi
  [[ -z $ROOT ]] || return 0
  if is_running && [[ -z $has_changed ]]; then return; fi
  [[ -n $was_running ]] || on_failure systemctl stop "$UNIT"
  say 'starting the agent (one that runs first gives its units time to end)'
  systemctl daemon-reload
  systemctl reset-failed "$UNIT" 2>/dev/null || true
  systemctl restart "$UNIT"
  # What ends at once is started again by systemd, and would look well between two ends.
  for _ in 1 2 3 4 5; do
    sleep 1
    state=$(systemctl show --property ActiveState --value "$UNIT")
    [[ $state == active ]] && [[ $(systemctl show --property NRestarts --value "$UNIT") == 0 ]] && continue
    journalctl --unit "$UNIT" --lines 10 --no-pager --output cat >&2 || true
    die "the agent does not stay up ($state; see above)"
  done
}

# --- The three things it does ----------------------------------------------------------------------

install_agent() {
  local unit
  was_running=''
  previous=$(basename "$(readlink "$OPT/current" || true)")
  choose_name
  prepare_system
  install_release
  make_account
  make_folders
  [[ -z $url ]] || join_farm
  if is_running; then was_running=1; fi
  on_failure service_as_before "$was_running"
  unit=$OPT/releases/$release/node_modules/furrow/deploy/systemd/$UNIT
  put "$UNIT_FILE" 644 <"$unit"
  point "$OPT/current" "releases/$release"
  if [[ -L $COMMAND || ! -e $COMMAND ]]; then
    point "$COMMAND" /opt/furrow/current/bin/furrow
  else
    say "left alone: $COMMAND, which is not ours; ours is $OPT/current/bin/furrow"
  fi
  [[ ! -f $JOINED ]] || start_service
  [[ $previous == "$release" ]] || prune_releases
  undo=()
  if [[ -f $JOINED ]]; then
    say "done: agent $name, version $release. Its log: journalctl -u furrow-agent"
  else
    say "done: version $release, which has not joined a farm: run this again with the farm's URL"
  fi
}

remove_agent() {
  local purge=$1
  if [[ -f $UNIT_FILE ]]; then
    [[ -n $ROOT ]] || say 'stopping the agent (it gives its units time to end)'
    if [[ -n $ROOT ]]; then service disable --quiet "$UNIT"; else systemctl disable --quiet --now "$UNIT"; fi
    rm -f "$UNIT_FILE"
    [[ -n $ROOT ]] || systemctl daemon-reload
  fi
  if [[ $(readlink "$COMMAND" || true) == /opt/furrow/* ]]; then rm -f "$COMMAND"; fi
  rm -rf "$OPT"
  if [[ -z $purge ]]; then
    say "removed; settings are still in $ETC, its identity and state in $STATE (--remove --purge deletes both)"
    return
  fi
  rm -f "$SETTINGS" "$JOINED"
  rmdir "$ETC" 2>/dev/null || [[ ! -d $ETC ]] || say "left alone: $ETC, which holds other files"
  rm -rf "$STATE"
  remove_account
  say 'removed, with settings, state and user; the farm forgets the agent when it is told: furrow agents --help'
}

main() {
  local task=install purge='' url='' url_file='' join=1
  package='' name='' node_archive='' without_onnx=''
  while (($# > 0)); do
    case $1 in
      --upgrade) task=upgrade ;;
      --remove) task=remove ;;
      --purge) purge=1 ;;
      --without-onnx) without_onnx=1 ;;
      --no-join) join='' ;;
      --package | --name | --node | --url-file)
        (($# > 1)) || die "$1 needs a value"
        case $1 in --package) package=$2 ;; --name) name=$2 ;; --node) node_archive=$2 ;; --url-file) url_file=$2 ;; esac
        shift
        ;;
      furrow://*) url=$1 ;;
      *) die "unknown argument '$1'; see the head of this script" ;;
    esac
    shift
  done
  case $url_file in
    '') ;;
    -) IFS= read -r url || true ;;
    *) IFS= read -r url <"$url_file" || [[ -r $url_file ]] || die "cannot read $url_file" ;;
  esac
  [[ -z $url_file || $url == furrow://* ]] || die "what $url_file holds is no farm's URL (furrow://…)"
  [[ $(id -u) == 0 ]] || die 'this changes the system: run it as root, with sudo'
  # Two at once would take back each other's steps.
  exec 9<"$ROOT/etc"
  flock -n 9 || die 'another install-agent.sh is at work on this system'
  scratch=$(mktemp -d)
  case $task in
    remove) remove_agent "$purge" ;;
    upgrade)
      [[ -L $OPT/current ]] || die "there is no agent to upgrade: install one with the farm's URL"
      url=''
      install_agent
      ;;
    install)
      [[ -n $url || -z $join || -f $JOINED ]] || die "say which farm: its URL (furrow://…), --url-file FILE, or --no-join"
      install_agent
      ;;
  esac
}

main "$@"
