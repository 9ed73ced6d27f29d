/** A copy of this machine that systemd runs, for tests of services; everything in it is gone afterwards. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const BOOT = join(import.meta.dirname, 'boot-systemd.sh');
const POLL_MS = 50;

/** Where the folder of the test lies in there. */
export const SHARED = '/srv/test';

/** It takes root, systemd, and a kernel that lets us mount. */
export function canBootSystemd(folder: string): boolean {
  return process.getuid?.() === 0 && spawnSync('bash', [BOOT, 'try', folder]).status === 0;
}

export interface MachineRun {
  readonly exitCode: number;
  /** What the script printed. */
  readonly log: string;
}

/** Boots, runs the script with bash, and ends the machine. */
export async function runUnderSystemd(
  folder: string,
  script: string,
  limitMs: number,
): Promise<MachineRun> {
  writeFileSync(join(folder, 'main.sh'), script);
  const machine = spawn('bash', [BOOT, 'run', folder], { stdio: ['ignore', 'pipe', 'pipe'] });
  const console: string[] = [];
  machine.stdout.on('data', (text) => console.push(String(text)));
  machine.stderr.on('data', (text) => console.push(String(text)));
  const ended = once(machine, 'exit');
  const done = join(folder, 'done');
  const untilMs = performance.now() + limitMs;
  while (!existsSync(done) && machine.exitCode === null && performance.now() < untilMs) {
    await sleep(POLL_MS);
  }
  machine.kill('SIGTERM');
  await ended;
  const log = existsSync(join(folder, 'log')) ? readFileSync(join(folder, 'log'), 'utf8') : '';
  if (existsSync(done)) return { exitCode: Number(readFileSync(done, 'utf8')), log };
  throw new Error(`the machine did not come to its end\n${log}\n${console.join('')}`);
}
