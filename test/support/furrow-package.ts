/** The package as users get it: what `npm pack` makes of this checkout, and installations of it. */
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const ROOT = join(import.meta.dirname, '..', '..');
const run = promisify(execFile);

/** The file. Built already: `npm test` does that first. */
export async function packFurrow(folder: string): Promise<string> {
  const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', folder], {
    cwd: ROOT,
  });
  return join(folder, stdout.trim().split('\n').at(-1)!);
}

export async function filesOf(packed: string): Promise<readonly string[]> {
  const { stdout } = await run('tar', ['-tzf', packed]);
  return stdout
    .trim()
    .split('\n')
    .map((path) => path.replace(/^package\//, ''));
}

/** What is in npm's cache since `npm ci` is not fetched again. */
export const QUIET_NPM = [
  '--ignore-scripts',
  '--prefer-offline',
  '--no-audit',
  '--no-fund',
] as const;

/**
 * A later package that knows its version and nothing else, to upgrade to; `isBroken`: not even that.
 */
export async function packLater(
  folder: string,
  { version, isBroken = false }: { readonly version: string; readonly isBroken?: boolean },
): Promise<string> {
  const root = join(folder, `furrow-${version}`);
  mkdirSync(join(root, 'dist', 'cli'), { recursive: true });
  mkdirSync(join(root, 'deploy', 'systemd'), { recursive: true });
  const main = join('dist', 'cli', 'main.js');
  const program = isBroken ? 'process.exit(1);' : `console.log('${version}');`;
  writeFileSync(join(root, main), `#!/usr/bin/env node\n${program}\n`, { mode: 0o755 });
  const unit = readFileSync(join(ROOT, 'deploy', 'systemd', 'furrow-agent.service'), 'utf8');
  writeFileSync(join(root, 'deploy', 'systemd', 'furrow-agent.service'), `# ${version}\n${unit}`);
  const about = { name: 'furrow', version, bin: { furrow: main }, files: ['dist', 'deploy'] };
  writeFileSync(join(root, 'package.json'), JSON.stringify(about));
  const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', folder], {
    cwd: root,
  });
  return join(folder, stdout.trim());
}
