/**
 * deploy/install-agent.sh on a system's image (FURROW_ROOT): everything but starting the service, which
 * test/e2e/service.test.ts does.
 */
import { execFile } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { VERSION } from '../../../kit/version.ts';
import { packFurrow, packLater } from '../../support/furrow-package.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const SCRIPT = join(ROOT, 'deploy', 'install-agent.sh');
const UNIT = 'etc/systemd/system/furrow-agent.service';
const URL_OF_NOBODY = `furrow://127.0.0.1:1?token=${'a'.repeat(43)}`;
const PATIENCE_MS = 240_000;

interface Outcome {
  readonly code: number;
  readonly said: string;
}

let folder: string;
let packed: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-install-'));
  chmodSync(folder, 0o755);
  packed = await packFurrow(folder);
}, PATIENCE_MS);

afterAll(() => {
  if (folder) rmSync(folder, { recursive: true, force: true });
});

/** The least that an image has. */
function newImage(): string {
  const image = mkdtempSync(join(folder, 'image-'));
  // As a system's root is: the service's user looks into it.
  chmodSync(image, 0o755);
  for (const path of ['opt', 'etc/systemd/system', 'usr/local/bin', 'var/lib']) {
    mkdirSync(join(image, path), { recursive: true });
  }
  writeFileSync(join(image, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/bash\n');
  writeFileSync(join(image, 'etc/group'), 'root:x:0:\nvideo:x:44:mia\nrender:x:105:\n');
  writeFileSync(join(image, 'etc/shadow'), '');
  writeFileSync(join(image, 'etc/gshadow'), '');
  onTestFinished(() => rmSync(image, { recursive: true, force: true }));
  return image;
}

function install(image: string, args: readonly string[], stdin = ''): Promise<Outcome> {
  return new Promise((resolve) => {
    const env = { ...process.env, FURROW_ROOT: image };
    const child = execFile('bash', [SCRIPT, ...args], { env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), said: `${stdout}${stderr}` });
    });
    child.stdin?.on('error', () => undefined).end(stdin);
  });
}

/** Every path with what can be seen of it from outside; without the copies that useradd leaves beside its files. */
function snapshot(image: string): readonly string[] {
  return readdirSync(image, { recursive: true, encoding: 'utf8' })
    .filter((path) => !/^etc\/(passwd|group|shadow|gshadow)(-|\.lock)$/.test(path))
    .map((path) => {
      const { mode, uid, gid, size, mtimeMs } = lstatSync(join(image, path));
      const about = [mode.toString(8), uid, gid, size, mtimeMs];
      return `${path} ${about.join(' ')}`;
    })
    .toSorted();
}

/** The same, without times and the sizes of folders: what an outsider would call unchanged. */
function contents(image: string): readonly string[] {
  return readdirSync(image, { recursive: true, encoding: 'utf8' })
    .filter((path) => !/^etc\/(passwd|group|shadow|gshadow)(-|\.lock)$/.test(path))
    .map((path) => {
      const stat = lstatSync(join(image, path));
      return `${path} ${stat.isFile() ? readFileSync(join(image, path), 'utf8') : ''}`;
    })
    .toSorted();
}

const read = (image: string, path: string): string => readFileSync(join(image, path), 'utf8');

// It makes users and gives files to them.
describe.skipIf(process.getuid?.() !== 0)('install-agent.sh', () => {
  test(
    'installs, changes nothing when done again, upgrades, goes back, and leaves nothing',
    async () => {
      const image = newImage();
      const untouched = contents(image);
      const args = ['--no-join', '--without-onnx', '--package', packed, '--name', 'box'];

      expect(await install(image, args)).toMatchObject({ code: 0 });
      const [, uid = ''] = /^furrow:x:(\d+):/m.exec(read(image, 'etc/passwd')) ?? [];
      expect(read(image, 'etc/passwd')).toMatch(
        /^furrow:.*:\/var\/lib\/furrow:\/usr\/sbin\/nologin$/m,
      );
      expect(read(image, 'etc/group')).toMatch(/^video:x:44:mia,furrow\nrender:x:105:furrow$/m);
      const state = lstatSync(join(image, 'var/lib/furrow'));
      expect([state.uid, state.mode & 0o777]).toEqual([Number(uid), 0o700]);
      expect(read(image, 'etc/furrow/agent.env')).toMatch(/^FURROW_AGENT_NAME=box$/m);
      expect(lstatSync(join(image, 'etc/furrow/agent.env')).mode & 0o777).toBe(0o640);
      const unit = readFileSync(join(ROOT, 'deploy/systemd/furrow-agent.service'), 'utf8');
      expect(read(image, UNIT)).toBe(unit);
      expect(await versionIn(image)).toBe(VERSION);
      expect(readlinkSync(join(image, 'usr/local/bin/furrow'))).toBe(
        '/opt/furrow/current/bin/furrow',
      );
      const modules = join(image, 'opt/furrow/current/node_modules');
      expect(existsSync(join(modules, 'onnxruntime-node'))).toBe(false);
      // What has not joined is not started.
      expect(existsSync(join(image, 'etc/systemd/system/multi-user.target.wants'))).toBe(false);

      const installed = snapshot(image);
      expect(await install(image, args)).toMatchObject({ code: 0 });
      expect(snapshot(image)).toEqual(installed);

      const first = readlinkSync(join(image, 'opt/furrow/current'));
      writeFileSync(
        join(image, 'etc/furrow/agent.env'),
        'FURROW_AGENT_NAME=box\nFURROW_AGENT_CPUS=3\n',
      );
      const later = await packLater(folder, { version: '9.0.0' });
      expect(await install(image, ['--upgrade', '--package', later])).toMatchObject({ code: 0 });
      expect(await versionIn(image)).toBe('9.0.0');
      expect(read(image, UNIT)).toBe(`# 9.0.0\n${unit}`);
      expect(read(image, 'etc/furrow/agent.env')).toContain('FURROW_AGENT_CPUS=3');
      // To go back to.
      expect(existsSync(join(image, 'opt/furrow', first))).toBe(true);

      const upgraded = snapshot(image);
      const broken = await packLater(folder, { version: '9.1.0', isBroken: true });
      const failure = await install(image, ['--upgrade', '--package', broken]);
      expect(failure.code).toBe(1);
      expect(failure.said).toContain('taking back what was done');
      // Of the folder of releases the time has changed, and nothing else.
      const withoutReleases = (lines: readonly string[]): readonly string[] =>
        lines.filter((line) => !line.startsWith('opt/furrow/releases '));
      expect(withoutReleases(snapshot(image))).toEqual(withoutReleases(upgraded));

      const newest = await packLater(folder, { version: '9.2.0' });
      expect(await install(image, ['--upgrade', '--package', newest])).toMatchObject({ code: 0 });
      expect(readdirSync(join(image, 'opt/furrow/releases'))).toHaveLength(2);
      expect(existsSync(join(image, 'opt/furrow', first))).toBe(false);

      expect(await install(image, ['--remove'])).toMatchObject({ code: 0 });
      expect(existsSync(join(image, 'opt/furrow'))).toBe(false);
      expect(existsSync(join(image, UNIT))).toBe(false);
      expect(read(image, 'etc/furrow/agent.env')).toContain('FURROW_AGENT_CPUS=3');
      expect(await install(image, ['--remove', '--purge'])).toMatchObject({ code: 0 });
      expect(contents(image)).toEqual(untouched);
      expect(await install(image, ['--remove', '--purge'])).toMatchObject({ code: 0 });
    },
    PATIENCE_MS,
  );

  test(
    'a farm that cannot be joined leaves the system as it was, and the token in no list of processes',
    async () => {
      const image = newImage();
      const before = contents(image);
      // A package whose program shows what it was started with, and refuses.
      const later = await packLater(folder, { version: '8.0.0' });
      const args = ['--package', await thatCannotJoin(later), '--url-file', '-'];
      const { code, said } = await install(image, args, `${URL_OF_NOBODY}\n`);
      expect(code).toBe(1);
      expect(said).toContain(`join ${URL_OF_NOBODY} --name `);
      expect(said).toContain('this machine could not join the farm');
      const processes = /^line: (.*)$/m.exec(said)?.[1] ?? '';
      expect(processes).toContain('node');
      expect(processes).not.toContain('aaaa');
      expect(contents(image)).toEqual(before);
    },
    PATIENCE_MS,
  );

  test.each([
    [['--package', '/nonexistent.tgz', '--no-join'], 'there is no package /nonexistent.tgz'],
    [['--upgrade'], 'there is no agent to upgrade'],
    [[], 'say which farm'],
    [['--frobnicate'], "unknown argument '--frobnicate'"],
    [['--name', 'a b', '--no-join'], "'a b' is no name for an agent"],
  ])(
    '%j is refused in one line, and nothing is done',
    async (args, why) => {
      const image = newImage();
      const before = contents(image);
      const { code, said } = await install(image, args);
      expect(code).toBe(1);
      expect(said).toContain(why);
      expect(contents(image)).toEqual(before);
    },
    PATIENCE_MS,
  );

  test(
    'with an archive of Node the agent has one of its own',
    async () => {
      const image = newImage();
      const archive = await packNode();
      const later = await packLater(folder, { version: '9.0.0' });
      const args = ['--no-join', '--package', later, '--node', archive];
      expect(await install(image, args)).toMatchObject({ code: 0 });
      expect(await versionIn(image)).toBe('9.0.0');
      // And not one that happens to be on PATH.
      rmSync(join(image, 'opt/furrow/current/node'), { recursive: true });
      await expect(versionIn(image)).rejects.toThrow('node/bin/node');
    },
    PATIENCE_MS,
  );

  test(
    'a program of that name that is not ours is left alone',
    async () => {
      const image = newImage();
      writeFileSync(join(image, 'usr/local/bin/furrow'), 'a plough');
      const later = await packLater(folder, { version: '9.0.0' });
      expect(await install(image, ['--no-join', '--package', later])).toMatchObject({ code: 0 });
      expect(await install(image, ['--remove', '--purge'])).toMatchObject({ code: 0 });
      expect(read(image, 'usr/local/bin/furrow')).toBe('a plough');
    },
    PATIENCE_MS,
  );
});

function versionIn(image: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const program = join(image, 'opt/furrow/current/bin/furrow');
    execFile(program, ['--version'], (error, stdout) =>
      error === null ? resolve(stdout.trim()) : reject(error),
    );
  });
}

/** As Node's own archives are: one folder, and in it bin/node, bin/npm and npm. */
async function packNode(): Promise<string> {
  const root = join(folder, 'node-archive', 'node-v20');
  mkdirSync(join(root, 'bin'), { recursive: true });
  mkdirSync(join(root, 'lib', 'node_modules'), { recursive: true });
  cpSync(process.execPath, join(root, 'bin', 'node'));
  const { stdout } = await promisify(execFile)('npm', ['root', '--global']);
  symlinkSync(join(stdout.trim(), 'npm'), join(root, 'lib', 'node_modules', 'npm'));
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(root, 'bin', 'npm'));
  const archive = join(folder, 'node-v20.tar');
  await promisify(execFile)('tar', [
    '-cf',
    archive,
    '-C',
    join(folder, 'node-archive'),
    'node-v20',
  ]);
  return archive;
}

/** The same package, whose `join` says how it was called and what others can see of that. */
async function thatCannotJoin(later: string): Promise<string> {
  const root = later.replace(/\.tgz$/, '');
  const copy = join(folder, 'refused');
  cpSync(root, copy, { recursive: true });
  writeFileSync(
    join(copy, 'dist/cli/main.js'),
    `#!/usr/bin/env node
    import { readFileSync } from 'node:fs';
    const argv = process.argv.slice(2);
    if (argv[0] === '--version') console.log('8.0.0');
    else {
      console.log(argv.join(' '));
      console.log('line: ' + readFileSync('/proc/self/cmdline', 'utf8').replaceAll('\\0', ' ').replaceAll('\\n', ' '));
      process.exit(7);
    }`,
  );
  return new Promise((resolve, reject) => {
    execFile(
      'npm',
      ['pack', '--silent', '--pack-destination', copy],
      { cwd: copy },
      (error, stdout) => (error === null ? resolve(join(copy, stdout.trim())) : reject(error)),
    );
  });
}
