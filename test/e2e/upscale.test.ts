/** Films through a model on a real farm: from the command line to a film that is proven. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Sandbox } from '../../agent/sandbox/sandbox.ts';
import { Clips, probeLines } from '../support/clips.ts';
import { startFarm, type TestFarm, until } from '../support/farm.ts';
import { nanModel, nearestModel } from '../support/onnx-models.ts';

const hasSandbox = (await Sandbox.open({ readable: [], hidden: [] })).state === 'open';

let clips: Clips;
beforeAll(async () => {
  clips = await Clips.open();
});
afterAll(() => clips.close());

async function addModel(farm: TestFarm, name: string, file: Buffer, scale = 2): Promise<void> {
  const path = join(farm.workDir, `${name}.onnx`);
  writeFileSync(path, file);
  const manifest = join(farm.workDir, `${name}.json`);
  writeFileSync(manifest, JSON.stringify({ kind: 'upscale', licence: 'CC0-1.0', scale, halo: 0 }));
  expect(await farm.furrow('models', 'add', path, '--manifest', manifest)).toMatchObject({
    code: 0,
  });
}

test('a film comes out twice as large, its model stays for the next piece, and errors say what to do', async () => {
  const sandbox = hasSandbox ? 'bwrap' : 'off';
  const farm = await startFarm({
    mediaTools: 'ffmpeg',
    agents: { box: ['--cpus', '2', '--sandbox', sandbox] },
  });
  await addModel(farm, 'twice', nearestModel(2));
  await addModel(farm, 'broken', nanModel(2));
  const clip = await clips.path('odd-size');
  const film = join(farm.workDir, 'film.mkv');
  const upscale = (...args: readonly string[]) => farm.furrow('submit', 'upscale', clip, ...args);

  const made = await upscale('--model', 'twice', '--scale', '2', '--cpus', '1', '-o', film);
  expect(made.stderr).toBe('');
  expect(made.code).toBe(0);
  const [source] = await probeLines(clip, 'v:0', 'stream=width,height');
  const [width = 0, height = 0] = (source ?? '').split(',').map(Number);
  expect(await probeLines(film, 'v:0', 'stream=width,height')).toEqual([
    `${width * 2},${height * 2}`,
  ]);

  const [worker] = workersUnder(farm, 'box');
  // Kept for the next unit.
  expect(worker).toBeDefined();

  const seen = await until('the farm knows what the model takes', async () => {
    const shown = await farm.furrow('models', 'show', 'twice', '--json');
    const { model } = JSON.parse(shown.stdout) as { model: { memory: readonly object[] } };
    return model.memory.length > 0 && model.memory;
  });
  expect(seen).toEqual([
    { provider: 'cpu', pixelBytes: expect.any(Number), baseBytes: expect.any(Number) },
  ]);
  const shown = await farm.furrow('models', 'show', 'twice');
  expect(shown.stdout).toMatch(/on cpu +\S+ MiB loaded, and \S+ \S+ for each pixel at once/);

  const refused = await upscale('--model', 'twice', '--scale', '4');
  expect(refused.stderr).toContain('makes pictures 2 times as large, not 4');
  const unknown = await upscale('--model', 'thrice');
  expect(unknown.stderr).toMatch(/no model named "thrice".*broken, twice/);

  const folder = join(farm.workDir, 'photos');
  mkdirSync(join(folder, 'deep'), { recursive: true });
  const picture = (name: string, format: string): void => {
    const source = `testsrc2=size=64x48:rate=1,scale=61:47,format=${format}`;
    const argv = ['-v', 'error', '-f', 'lavfi', '-i', source, '-frames:v', '1', '-update', '1'];
    execFileSync('ffmpeg', [...argv, join(folder, name)]);
  };
  picture('a.png', 'rgba');
  picture('deep/b.jpg', 'yuvj420p');
  picture('c.bmp', 'bgr24');
  // It has a tag that ffmpeg does not know.
  picture('d.tif', 'rgba');
  const out = join(farm.workDir, 'out');
  mkdirSync(out);
  const pictures = ['--model', 'twice', '--cpus', '1', '--per-unit', '2', '-o', out];
  const larger = await farm.furrow('submit', 'upscale', folder, ...pictures);
  expect(larger.stderr).toBe('');
  for (const name of ['a.png', 'deep/b.jpg', 'c.bmp.png', 'd.tif.png']) {
    const size = await probeLines(join(out, 'large', name), 'v:0', 'stream=width,height');
    expect({ name, size }).toEqual({ name, size: ['122,94'] });
  }
  expect(await probeLines(join(out, 'large/a.png'), 'v:0', 'stream=pix_fmt')).toEqual(['rgba']);

  const broken = await upscale('--model', 'broken', '--cpus', '1', '--watch');
  expect(broken.code).not.toBe(0);
  expect(broken.stdout + broken.stderr).toContain('no numbers (NaN or infinite)');

  await farm.agent('box').kill();
  await until('models die with their agent', () => workersUnder(farm, 'box').length === 0);
});

/** Processes whose folder is one of the agent's models. */
function workersUnder(farm: TestFarm, agent: string): readonly number[] {
  const folder = join(farm.home, 'agents', agent);
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        return words.includes('models/worker/main') && environOf(pid).includes(folder);
      } catch {
        return false;
      }
    })
    .map(Number);
}

function environOf(pid: string): string {
  return readFileSync(`/proc/${pid}/environ`, 'utf8');
}
