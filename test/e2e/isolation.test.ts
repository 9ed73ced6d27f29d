/** What an owner allows units' programs, and what those see: from the command line to real agents. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Sandbox } from '../../agent/sandbox/sandbox.ts';
import { Clips } from '../support/clips.ts';
import { startFarm } from '../support/farm.ts';

const hasSandbox = (await Sandbox.open({ readable: [], hidden: [] })).state === 'open';

test('a program runs only where its owner allows it, and explain names the reason', async () => {
  const farm = await startFarm({
    mediaTools: 'ffmpeg',
    agents: {
      films: ['--allow-commands', 'none'],
      tight: ['--allow-commands', 'cat,/bin/echo'],
    },
  });
  const run = (...argv: readonly string[]) => farm.furrow('submit', 'command', ...argv);
  const done = await run('--watch', '--', '/bin/echo', 'hello');
  expect(done).toMatchObject({ code: 0 });
  expect((await farm.furrow('units', 'j1')).stdout).toContain('tight');

  const refused = await run('--', 'sleep', '1');
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain('runs sleep, which no agent');
  expect(refused.stderr).toContain('--allow-commands sleep');
  const offline = await run('--network', '--', 'cat', '/dev/null');
  expect(offline.stderr).toContain('--allow-network');

  await farm.furrow('drain', 'tight');
  expect((await run('--', 'cat', '/dev/null')).code).toBe(0);
  const why = (await farm.furrow('explain', 'j2')).stdout;
  expect(why).toContain('runs no commands: its owner allows none (--allow-commands)');
  const { stdout } = await farm.furrow('agents', 'tight');
  expect(stdout).toMatch(/commands +cat, \/bin\/echo; no sandbox: programs run as /);
});

test.skipIf(!hasSandbox)(
  'in the sandbox a unit has its folder and no secrets, and films are made',
  async () => {
    const farm = await startFarm({
      mediaTools: 'ffmpeg',
      agents: { box: ['--allow-commands', 'all', '--sandbox', 'bwrap', '--cpus', '2'] },
      agentEnvironment: { SECRET_OF_TEST: 'hidden-away' },
    });
    expect((await farm.furrow('agents', 'box')).stdout).toMatch(
      /commands +any; bwrap: programs have/,
    );
    const out = join(farm.workDir, 'seen');
    const input = join(farm.workDir, 'input.txt');
    writeFileSync(input, 'given');
    const script = [
      '{ cat input.txt; env; find / -name token -o -name "*.nats" 2>/dev/null',
      `ls ${farm.home}/agents/box; cat ${farm.home}/token; echo x >> input.txt; touch ${farm.workDir}/mark`,
      'echo tmp > "$TMPDIR/t"; cat /tmp/t; } > seen 2>&1; true',
    ].join('; ');
    const argv = ['--input', input, '--keep', 'seen', '-o', out, '--watch'];
    const done = await farm.furrow('submit', 'command', ...argv, '--', 'sh', '-c', script);
    expect(done.stderr).toBe('');
    const seen = readFileSync(out, 'utf8');
    expect(seen).toMatch(/^given/);
    expect(seen).toContain('FURROW_UNIT=0');
    expect(seen).toContain('\ntmp\n');
    expect(seen).not.toContain('hidden-away');
    expect(seen).not.toContain(readFileSync(join(farm.home, 'token'), 'utf8').trim());
    expect(seen).not.toContain('FURROW_TOKEN');
    expect(existsSync(join(farm.workDir, 'mark'))).toBe(false);

    const clips = await Clips.open();
    const film = join(farm.workDir, 'film.mp4');
    const clip = await clips.path('closed-gop');
    const made = await farm.furrow('submit', 'transcode', clip, '-o', film, '--watch');
    await clips.close();
    expect(made).toMatchObject({ code: 0 });
    expect(existsSync(film)).toBe(true);
  },
);
