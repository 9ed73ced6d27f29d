/**
 * What a unit's program sees in its sandbox, as arguments of bubblewrap: the system, read-only; its own folder,
 * writable, at the path that it has outside; nothing of anybody's home, and nothing of the agent. Pure.
 */

/** What of this machine every unit sees. Read once. */
export interface SandboxLayout {
  readonly bwrap: string;
  /** Folders and files, read-only. */
  readonly visible: readonly string[];
  /** Such as /bin to usr/bin. */
  readonly links: readonly { readonly path: string; readonly target: string }[];
  /** Covered where something visible holds them: credentials lie there. */
  readonly hidden: readonly string[];
}

/** One unit. All paths are absolute. */
export interface UnitBox {
  readonly directory: string;
  /** Its `/tmp`; null for one in memory, which is enough where nothing is written there. */
  readonly temporary: string | null;
  /** In its folder, and not to be written to: inputs, which others share. */
  readonly readOnly: readonly string[];
  /** Read-only, at their own paths: where its program lies, and what tells of its GPUs. */
  readonly folders: readonly string[];
  /** Of its GPUs. */
  readonly devices: readonly string[];
  readonly network: boolean;
}

/** More mounts would cost more than they keep: such inputs are only looked at after the run. */
const MOST_READ_ONLY = 512;

/**
 * The kernel lets root write here without any privilege, and with that act outside of every sandbox. bubblewrap
 * covers what it finds writable by the folder's mode, which is not what the kernel asks.
 */
const KERNEL_FILES = ['sys', 'sysrq-trigger', 'irq', 'bus', 'fs', 'acpi', 'scsi'].map(
  (name) => `/proc/${name}`,
);

/** With the network, who is where. */
const NETWORK_FILES = ['/etc/resolv.conf', '/etc/hosts', '/etc/gai.conf'];

/**
 * bubblewrap ends all that is left in the sandbox when the program that it started ends. That program is this
 * one: after a TERM, which reaches every process, it waits for those that take their time over it, as they may
 * outside. The agent's grace bounds that.
 */
const KEEPER =
  't=; trap t=1 TERM; "$@"; s=$?; ' +
  'while [ "$t" ] && set -- /proc/[0-9]* && [ $# -gt 2 ]; do sleep 0.05; done; exit $s';

/** The program and its arguments follow. */
export function bwrapArgv(layout: SandboxLayout, box: UnitBox): string[] {
  const shown = [...layout.visible, ...box.folders];
  const hidden = layout.hidden.filter((path) => isShown(path, shown));
  const temporary = box.temporary === null ? ['--tmpfs', '/tmp'] : bind(box.temporary, '/tmp');
  const readOnly = box.readOnly.length > MOST_READ_ONLY ? [] : box.readOnly;
  return [
    [layout.bwrap, '--unshare-all', '--die-with-parent', '--new-session', '--cap-drop', 'ALL'],
    box.network ? ['--share-net', ...each('--ro-bind-try', NETWORK_FILES)] : [],
    // First: what is shown may lie in it.
    temporary,
    each('--ro-bind', layout.visible),
    layout.links.flatMap(({ path, target }) => ['--symlink', target, path]),
    ['--proc', '/proc', '--dev', '/dev'],
    each('--ro-bind-try', KERNEL_FILES),
    each('--dev-bind-try', box.devices),
    ['--tmpfs', '/dev/shm', '--remount-ro', '/dev'],
    each('--ro-bind', box.folders),
    hidden.flatMap((path) => ['--tmpfs', path]),
    bind(box.directory, box.directory),
    each('--ro-bind', readOnly),
    // What is written beside its folder would be memory that nobody counts.
    ['/', ...hidden].flatMap((path) => ['--remount-ro', path]),
    ['--chdir', box.directory, '--', '/bin/sh', '-c', KEEPER, 'furrow-unit'],
  ].flat();
}

function bind(path: string, at: string): string[] {
  return ['--bind', path, at];
}

/** At their own paths. */
function each(flag: string, paths: readonly string[]): string[] {
  return paths.flatMap((path) => [flag, path, path]);
}

/** Whether the path is one of these, or lies in one. */
export function isShown(path: string, shown: readonly string[]): boolean {
  return shown.some((folder) => path === folder || path.startsWith(`${folder}/`));
}
