/** `kill -9` of `furrow up` leaves nothing running. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { until } from '../support/farm.ts';
import { processesUnder, watchProcess } from '../support/processes.ts';
import { startUpFarm } from '../support/up-farm.ts';

test('nats-server, coordinator and agent end by themselves, and the farm starts again', async () => {
  const farm = await startUpFarm({ agents: 1 });
  try {
    const children = processesUnder(farm.pid);
    const { pid } = JSON.parse(readFileSync(join(farm.home, 'nats', 'process.json'), 'utf8')) as {
      readonly pid: number;
    };
    expect(children.map((child) => child.pid)).toContain(pid);
    for (const role of ['coordinator', 'agent', 'nats-server']) {
      expect(children.some(({ command }) => command.includes(role))).toBe(true);
    }
    const up = watchProcess(farm.pid);
    process.kill(farm.pid, 'SIGKILL');
    await until('furrow up is gone', () => !up.runs());
    await until('all of its children are gone', () => children.every((child) => !child.runs()));
  } finally {
    await farm.close();
  }
});
