#!/usr/bin/env bash
# Boots systemd on a copy of this machine's files, in namespaces of its own, and lets it run one script; for
# systemd-machine.ts. What it changes is in memory and gone with it. As root:
#
#   boot-systemd.sh try FOLDER             whether that works here
#   boot-systemd.sh run FOLDER             FOLDER is /srv/test in there; runs /srv/test/main.sh, and writes what
#                                          it printed to FOLDER/log and its exit code to FOLDER/done
set -euo pipefail

task=$1 folder=$2
shell=$(realpath "${BASH_SOURCE[0]}")

# Its processes get a control group of their own, below which systemd makes its groups.
if [[ $task == try || $task == run ]]; then
  cgroup=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
  [[ -n $cgroup && -x /usr/lib/systemd/systemd ]]
  group=$cgroup/furrow-test-$$
  mkdir "$group"
  # Called when we end.
  # shellcheck disable=SC2317
  sweep() {
    for _ in $(seq 50); do
      find "$group" -depth -type d -exec rmdir {} + 2>/dev/null && return
      sleep 0.1
    done
  }
  trap sweep EXIT
  trap 'exit 143' TERM INT
  (
    echo "$BASHPID" >"$group/cgroup.procs"
    exec unshare --mount --pid --fork --uts --ipc --cgroup --kill-child bash "$shell" "in-$task" "$folder"
  ) </dev/null &
  child=$!
  trap 'kill -KILL $child 2>/dev/null; wait $child 2>/dev/null; exit 143' TERM INT
  wait $child
  exit
fi

mount --make-rprivate /
memory=$folder/memory
mkdir -p "$memory"
mount -t tmpfs tmpfs "$memory"
mkdir "$memory"/{upper,work,root}
root=$memory/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$memory/upper,workdir=$memory/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs tmpfs "$root/run"
mount --rbind /dev "$root/dev"
mkdir -p "$root/srv/test" "$root/old"
mount --bind "$folder" "$root/srv/test"
# It may be another file system than the root's, which is all that the copy has.
checkout=$(realpath "$(dirname "$shell")/../..")
mkdir -p "$root$checkout"
mount --bind "$checkout" "$root$checkout"
# The checkout may lie under /tmp, which systemd would cover.
rm -f "$root/usr/lib/systemd/system/tmp.mount" "$root/etc/systemd/system/tmp.mount"
[[ $task != in-try ]] || exit 0

# Nothing of the machine starts but what the test asks for, and nothing that would touch the kernel's settings.
rm -rf "$root"/{etc,usr/lib}/systemd/system/{sysinit,basic,local-fs,multi-user,timers,getty,paths,slices}.target.wants
rm -f "$root"/usr/lib/systemd/system/sockets.target.wants/systemd-udevd*
cat >"$root/etc/systemd/system/furrow-test.service" <<'UNIT'
[Unit]
After=basic.target
Requires=basic.target dbus.socket
[Service]
Type=oneshot
ExecStart=/bin/bash -c 'bash /srv/test/main.sh >/srv/test/log 2>&1; echo $? >/srv/test/done.new; mv /srv/test/done.new /srv/test/done'
UNIT
cat >"$root/etc/systemd/system/furrow-test.target" <<'UNIT'
[Unit]
Wants=furrow-test.service
UNIT
cd "$root"
pivot_root . old
umount -l /old
exec env -i container=furrow-test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  /usr/lib/systemd/systemd --system --unit=furrow-test.target --log-target=console --log-level=warning
