/** The npm package: what is in it, and that it does everything when installed globally, far from a checkout. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { COMMANDS } from '../../cli/commands/table.ts';
import { findNatsServer } from '../../cli/up/nats-binary.ts';
import { VERSION } from '../../kit/version.ts';
import { filesOf, packFurrow, QUIET_NPM } from '../support/furrow-package.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '..', '..');

let folder: string;
let packed: string;
/** The installed program. */
let furrow: string;
/** Nothing of the checkout is on it. */
let environment: NodeJS.ProcessEnv;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-package-'));
  packed = await packFurrow(folder);
  const prefix = join(folder, 'global');
  await run('npm', ['install', '--global', '--prefix', prefix, ...QUIET_NPM, packed]);
  furrow = join(prefix, 'bin', 'furrow');
  environment = {
    PATH: `${dirname(process.execPath)}:/usr/bin:/bin`,
    HOME: folder,
    FURROW_HOME: join(folder, 'home'),
  };
});

afterAll(() => {
  if (folder) rmSync(folder, { recursive: true, force: true });
});

describe('the package', () => {
  test('holds the program, its protocol and what installs it as a service, and no more', async () => {
    const files = await filesOf(packed);
    const known =
      /^(dist\/.+\.js|proto\/furrow\/.+\.proto|deploy\/install-agent\.sh|deploy\/(systemd|macos|windows)\/[^/]+|package\.json|README\.md|LICENSE)$/;
    expect(files.filter((path) => !known.test(path))).toEqual([]);
    for (const needed of [
      'dist/cli/main.js',
      'dist/agent/probe/onnx-trial.js',
      'proto/furrow/v1/job_service.proto',
      'deploy/install-agent.sh',
      'deploy/systemd/furrow-agent.service',
      'LICENSE',
    ]) {
      expect(files).toContain(needed);
    }
  });

  test('is as old as its sources: to pack it builds first', async () => {
    const { stdout } = await run('npm', ['pkg', 'get', 'scripts.prepack'], { cwd: ROOT });
    expect(JSON.parse(stdout)).toBe('bash deploy/build.sh');
  });
});

describe('installed globally', () => {
  const lines = COMMANDS.flatMap((entry) =>
    'commands' in entry
      ? [[entry.name], ...entry.commands.map(({ name }) => [entry.name, name])]
      : [[entry.name]],
  );

  test('every command says how it is used', async () => {
    // In one process: they are many.
    const script = `
      const { runLine } = await import(process.argv[1]);
      const said = [];
      for (const line of JSON.parse(process.argv[2])) {
        const stdout = { write: (text) => said.push(text) };
        await runLine([...line, '--help'], { stdout, stderr: process.stderr, environment: {} });
      }
      console.log(said.join(''));`;
    const main = join(
      folder,
      'global',
      'lib',
      'node_modules',
      'furrow',
      'dist',
      'cli',
      'run-line.js',
    );
    const argv = ['--input-type=module', '-e', script, main, JSON.stringify(lines)];
    const { stdout } = await run(process.execPath, argv, { env: environment });
    for (const line of lines) expect(stdout).toContain(`furrow ${line.join(' ')}`);
    const { stdout: version } = await run(furrow, ['--version'], { env: environment });
    expect(version.trim()).toBe(VERSION);
  });

  test('brings ONNX, which an install without optional packages leaves out', () => {
    const modules = join(folder, 'global', 'lib', 'node_modules', 'furrow', 'node_modules');
    expect(existsSync(join(modules, 'onnxruntime-node'))).toBe(true);
    expect(existsSync(join(modules, 'typescript'))).toBe(false);
  });

  test('without a nats-server a farm does not start, and says what to do', async () => {
    const failure = await run(furrow, ['up'], { env: environment }).catch((error) => error);
    expect(failure).toMatchObject({ code: 7 });
    expect(failure.stderr).toContain(
      'no nats-server on PATH: install nats-server 2.10 or newer, or name one in FURROW_NATS_SERVER',
    );
  });

  test('with one it is a farm that works', async () => {
    const nats = await findNatsServer(ROOT, process.env);
    const env = { ...environment, PATH: `${dirname(nats.path)}:${environment['PATH']}` };
    const ports = ['--grpc-port', '0', '--http-port', '0', '--nats-port', '0'];
    const up = spawn(furrow, ['--json', 'up', ...ports], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(async () => {
      if (up.exitCode !== null) return;
      up.kill('SIGTERM');
      await once(up, 'exit');
    });
    await once(createInterface({ input: up.stdout }), 'line');
    const line = ['submit', 'command', '--', 'echo', 'from the package'];
    const { stdout: job } = await run(furrow, line, { env });
    await run(furrow, ['watch', job.trim()], { env });
    const { stdout: said } = await run(furrow, ['logs', job.trim()], { env });
    expect(said).toContain('from the package');
    const stopped = once(up, 'exit');
    up.kill('SIGTERM');
    expect(await stopped).toEqual([0, null]);
  });
});
