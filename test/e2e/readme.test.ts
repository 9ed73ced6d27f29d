/**
 * README's first session, run as it stands: every ```sh block of that chapter, in order, in one folder
 * inside the checkout, with a real `npx` and no network.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXIT } from '../../cli/exit-codes.ts';
import { startUpFarm, type UpFarm } from '../support/up-farm.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
const BLOCK_LIMIT_MS = 120_000;

const blocks = [...chapter('First session').matchAll(/^```sh\n(.*?)^```$/gms)].map(
  ([, block]) => block!,
);

function chapter(title: string): string {
  return README.split(/^## /m).find((text) => text.startsWith(`${title}\n`)) ?? '';
}

describe('the first session', () => {
  let farm: UpFarm;
  let folder: string;

  beforeAll(async () => {
    farm = await startUpFarm({ agents: 1 });
    // Ignored by git, like the farms that are started in a checkout.
    mkdirSync(join(ROOT, '.furrow'), { recursive: true });
    folder = mkdtempSync(join(ROOT, '.furrow', 'readme-'));
  });

  afterAll(async () => {
    await farm?.close();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  test('has blocks to run', () => {
    expect(blocks.length).toBeGreaterThanOrEqual(5);
  });

  const named = blocks.map((block) => [block.split('\n', 1)[0]!, block] as const);
  test.each(named)('%s', { timeout: BLOCK_LIMIT_MS }, async (_firstLine, block) => {
    const run = promisify(execFile)('bash', ['-euo', 'pipefail', '-c', block], {
      cwd: folder,
      env: { ...farm.environment, npm_config_offline: 'true' },
    });
    const failed = await run.then(
      () => '',
      ({ stdout, stderr }: { stdout: string; stderr: string }) => `${stdout}${stderr}`,
    );
    expect(failed).toBe('');
  });

  test('leaves what it promises', () => {
    const promised = ['clip.mp4', 'sheet.png'];
    expect(promised.filter((name) => existsSync(join(folder, name)))).toEqual(promised);
  });
});

test('names every exit code', () => {
  const sentence = /^Exit codes, .*?\. /ms.exec(chapter('First session'))?.[0] ?? '';
  const named = [...sentence.matchAll(/\d+/g)].map(Number);
  expect(named.sort((a, b) => a - b)).toEqual(Object.values(EXIT).sort((a, b) => a - b));
});
