import { spawn } from 'node:child_process';
import { expect, onTestFinished, test, vi } from 'vitest';
import { MemorySampler } from '../../../../agent/process/memory-sampler.ts';

const noVram = { bytesOf: () => 0 };

/** Computes for so many seconds of processor time, then sleeps; leads its own group. Answers the group. */
function burst(cpuSeconds: number): number {
  // The fourteenth and fifteenth word of what the kernel tells of it, in hundredths of a second.
  const script = `
    used() { read -r _ _ _ _ _ _ _ _ _ _ _ _ _ user system _ </proc/$$/stat; }
    used; while [ $((user + system)) -lt ${cpuSeconds * 100} ]; do used; done; exec sleep 60`;
  const child = spawn('sh', ['-c', script], { stdio: 'ignore', detached: true });
  onTestFinished(() => void child.kill('SIGKILL'));
  if (child.pid === undefined) throw new Error('sh did not start');
  return child.pid;
}

/** Counts the looks, and those that found it computing. */
function watched(group: number): { looks: number; busy: number } {
  const seen = { looks: 0, busy: 0 };
  const sampler = new MemorySampler(noVram);
  sampler.listen(() => {
    seen.looks += 1;
    return Infinity;
  });
  sampler.watch(group, () => (seen.busy += 1));
  onTestFinished(() => void sampler.forget(group));
  return seen;
}

test('to begin is not to compute: what starts and then sleeps was never busy', async () => {
  const seen = watched(burst(0.03));
  await vi.waitFor(() => expect(seen.looks).toBe(3), { timeout: 8_000 });
  expect(seen.busy).toBe(0);
});

test('what computes is seen computing', async () => {
  const seen = watched(burst(60));
  await vi.waitFor(() => expect(seen.busy).toBe(1), { timeout: 8_000 });
});
