/** Units' programs in bubblewrap, where that works on this machine. */
import { execFile } from 'node:child_process';
import { existsSync, lstatSync, readdirSync, readlinkSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { FurrowError } from '../../kit/furrow-error.ts';
import { findProgram } from '../process/find-program.ts';
import { bwrapArgv, isShown, type SandboxLayout, type UnitBox } from './bwrap-argv.ts';

/** Where programs and what they need lie, as far as a machine has these. */
const SYSTEM = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32', '/opt'];
const OTHER_SYSTEMS = ['/nix/store', '/run/current-system', '/run/opengl-driver', '/snap'];
/** Of /etc, what programs cannot do without: no keys, no passwords, nothing that tells of the network. */
const SETTINGS = [
  'alternatives ca-certificates crypto-policies fonts glvnd group ld.so.cache ld.so.conf ld.so.conf.d',
  'locale.alias locale.conf localtime mime.types nsswitch.conf OpenCL passwd pki/ca-trust pki/tls/certs',
  'protocols services ssl/certs ssl/openssl.cnf timezone vulkan',
].flatMap((names) => names.split(' ').map((name) => `/etc/${name}`));
const PROCESSORS = '/sys/devices/system/cpu';
/** Where drivers look up their devices. */
const DEVICES = '/sys';
const GPU_DEVICES = /^(nvidia|dri$|kfd$|dxg$)/;
const TRIAL_MS = 10_000;

export type OpenedSandbox =
  | { readonly state: 'open'; readonly sandbox: Sandbox }
  /** `why`: one line. */
  | { readonly state: 'closed'; readonly why: string };

export interface SandboxOptions {
  /** Folders that units may read besides the system's. */
  readonly readable: readonly string[];
  /** The agent's own folders, which none of them may see. */
  readonly hidden: readonly string[];
}

/** What of a unit decides how its sandbox looks. */
export type BoxedUnit = Pick<UnitBox, 'directory' | 'temporary' | 'readOnly' | 'network'> & {
  readonly hasGpus: boolean;
  /** Folders and files that it reads besides, at their own paths. */
  readonly shown?: readonly string[];
};

export class Sandbox {
  readonly #layout: SandboxLayout;

  private constructor(layout: SandboxLayout) {
    this.#layout = layout;
  }

  /** Tried out: user namespaces may be forbidden, as they are in many containers. */
  static async open(options: SandboxOptions): Promise<OpenedSandbox> {
    if (process.platform !== 'linux') return { state: 'closed', why: 'only Linux has bubblewrap' };
    let layout: SandboxLayout;
    try {
      layout = readLayout(findProgram('bwrap', '/'), options);
    } catch {
      return { state: 'closed', why: 'bubblewrap (bwrap) is not installed' };
    }
    const why = await fails(layout);
    if (why === null) return { state: 'open', sandbox: new Sandbox(layout) };
    return { state: 'closed', why: `bubblewrap does not work here: ${why}` };
  }

  /** What to start in front of a program, which is given by its absolute path. FurrowError: TOOL_MISSING. */
  argvFor(program: string, unit: BoxedUnit): string[] {
    const { directory, temporary, readOnly, network, hasGpus, shown = [] } = unit;
    const isMissing = (path: string): boolean => !isShown(path, this.#layout.visible);
    const folders = [
      ...this.#foldersOf(program, directory),
      ...shown.filter(isMissing),
      ...(hasGpus ? [DEVICES] : []),
    ];
    const devices = hasGpus ? gpuDevices() : [];
    const box = { directory, temporary, readOnly, folders, devices, network };
    return bwrapArgv(this.#layout, box);
  }

  /** Where a program lies that is not the system's, and what it is a link to. */
  #foldersOf(program: string, directory: string): string[] {
    const folders = new Set([dirname(program), dirname(realpathSync(program))]);
    const missing = [...folders].filter(
      (folder) => !isShown(folder, [...this.#layout.visible, ...this.#roots(), directory]),
    );
    const wide = missing.find((folder) => this.#isTooWide(folder));
    if (wide === undefined) return missing;
    throw new FurrowError(
      'failed-precondition',
      'TOOL_MISSING',
      `${program} cannot be shown to units without all of ${wide}: put it into a folder of its own, or allow that one (--allow-read)`,
    );
  }

  #roots(): string[] {
    return this.#layout.links.map(({ path }) => path);
  }

  #isTooWide(folder: string): boolean {
    const kept = [...homes(), ...this.#layout.hidden];
    return folder === '/' || kept.some((path) => isShown(path, [folder]));
  }
}

/** That of the agent's user; none where there is none. */
function homes(): string[] {
  try {
    return [homedir()];
  } catch {
    return [];
  }
}

function readLayout(bwrap: string, { readable, hidden }: SandboxOptions): SandboxLayout {
  const isThere = (path: string): boolean => existsSync(path);
  const roots = [...SYSTEM, ...OTHER_SYSTEMS].filter(isThere);
  const isLink = (path: string): boolean => lstatSync(path).isSymbolicLink();
  const links = roots.filter(isLink).map((path) => ({ path, target: readlinkSync(path) }));
  // By their true names: what is hidden must be known to lie in them.
  const folders = readable.filter(isThere).map((path) => ({ path, target: realpathSync(path) }));
  return {
    bwrap,
    visible: [
      ...roots.filter((path) => !isLink(path)),
      ...[...SETTINGS, PROCESSORS].filter(isThere),
      ...folders.map(({ target }) => target),
    ],
    links: [...links, ...folders.filter(({ path, target }) => path !== target)],
    hidden: [...new Set(hidden.filter(isThere).map((path) => realpathSync(path)))],
  };
}

/** Null when it works, else one line. */
function fails(layout: SandboxLayout): Promise<string | null> {
  // The agent's folder is a unit's for a moment: it must be possible to show one inside what is hidden.
  const [directory = '/tmp'] = layout.hidden;
  const box = { directory, temporary: null, readOnly: [], folders: [], devices: [] };
  const [bwrap = '', ...args] = bwrapArgv(layout, { ...box, network: false });
  const options = { timeout: TRIAL_MS, env: { PATH: process.env['PATH'] ?? '' } };
  return new Promise((settle) => {
    execFile(bwrap, [...args, 'true'], options, (error, _stdout, stderr) => {
      const [line = ''] = stderr.split('\n');
      settle(error === null ? null : line.trim() || error.message);
    });
  });
}

/** All of the machine's: which of them a unit uses is said by CUDA_VISIBLE_DEVICES. */
function gpuDevices(): string[] {
  const names = readdirSync('/dev').filter((name) => GPU_DEVICES.test(name));
  return names.map((name) => join('/dev', name));
}
