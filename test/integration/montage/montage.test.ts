/** Real ffmpeg on clips of awkward kinds: the film shows exactly the frames that its list says. */
import { copyFile, cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type ClipKind,
  Clips,
  ffmpeg,
  frameNumbers,
  frameSeconds,
  probeLines,
} from '../../support/clips.ts';
import { FilmChain } from '../../support/film-chain.ts';
import { upscaler } from '../../support/model-tree.ts';
import { deepModel, nearestModel, negativeModel } from '../../support/onnx-models.ts';
import { type MontageInputs, runMontage } from '../../support/montage-job.ts';

/** Some fifty processes each: a machine that does much else takes its time. */
const SLOW_MS = 180_000;

let clips: Clips;
let chain: FilmChain;
let music: string;

beforeAll(async () => {
  clips = await Clips.open();
  chain = await FilmChain.open();
  music = join(clips.directory, 'song.mp3');
  const clicks = 'aevalsrc=0.8*exp(-40*mod(t\\,0.5))*sin(2*PI*200*t):s=44100:d=8';
  await ffmpeg(['-f', 'lavfi', '-i', clicks, '-c:a', 'libmp3lame', music]);
});
afterAll(async () => {
  await chain.refuseRunning();
  await chain.close();
  await clips.close();
});

interface Row {
  readonly clip: string;
  readonly from: number;
  readonly frames: number;
  readonly speed?: number;
  readonly transition?: string;
  readonly length?: number;
}

function table(rows: readonly Row[]): NonNullable<MontageInputs['cuts']> {
  const lines = rows.map(({ clip, from, frames, speed, transition, length }) =>
    [clip, from, frames, speed ?? 100, transition ?? 'cut', length ?? 0].join(','),
  );
  const head = 'clip,clip_from,frames,speed_percent,transition,transition_frames';
  return { name: 'cuts.csv', text: [head, ...lines].join('\n') };
}

/** Numbers of the clip's frames, as they are seen 25 times a second from its first picture on. */
async function seenAt25(path: string): Promise<number[]> {
  const times = await frameSeconds(path);
  const numbers = await frameNumbers(path);
  const due = times.map((time) => Math.floor((time - times[0]!) * 25 + 0.5 + 1e-9));
  return Array.from(
    { length: due.at(-1)! + 1 },
    (_, frame) => numbers[due.findLastIndex((at) => at <= frame)]!,
  );
}

test(
  'every frame is the one that the list says, whatever the clip is',
  async () => {
    const kinds: readonly ClipKind[] = [
      'open-gop-hevc',
      'variable-rate',
      'edit-list',
      'transport-stream',
    ];
    const paths = await Promise.all(kinds.map((kind) => clips.path(kind)));
    const names = paths.map((path) => path.split('/').at(-1)!);
    // From the middle, at no keyframe.
    const rows = names.map((clip, i): Row => ({ clip, from: 11 + i, frames: 9 + (i % 4) }));
    const run = await runMontage(chain, { clips: paths, music, cuts: table(rows) });
    expect(run.outcome).toEqual({ state: 'succeeded' });
    const expected: number[] = [];
    for (const [i, { from, frames }] of rows.entries()) {
      const seen = await seenAt25(paths[i]!);
      expected.push(...seen.slice(from, from + frames));
    }
    expect(await frameNumbers(join(run.directory, 'film.mp4'))).toEqual(expected);
  },
  SLOW_MS,
);

describe('transitions and speeds', () => {
  const name = 'closed.mp4';
  const rows: readonly Row[] = [
    { clip: name, from: 5, frames: 20 },
    { clip: 'open.mp4', from: 30, frames: 24, transition: 'dissolve', length: 8 },
    { clip: name, from: 60, frames: 20, speed: 50, transition: 'whip', length: 5 },
    { clip: 'open.mp4', from: 0, frames: 16, speed: 200, transition: 'dip-black', length: 4 },
    { clip: name, from: 40, frames: 10, transition: 'zoom', length: 6 },
  ];

  test(
    'outside of transitions every frame is exact, and the whole as long as planned',
    async () => {
      const paths = [await clips.path('closed-gop'), await clips.path('open-gop')];
      const run = await runMontage(
        chain,
        { clips: paths, music, cuts: table(rows) },
        { clipSound: 0.3 },
      );
      expect(run.outcome).toEqual({ state: 'succeeded' });
      const film = join(run.directory, 'film.mp4');
      const shown = await frameNumbers(film);
      expect(shown.length).toBe(90);
      let at = 0;
      for (const { from, frames, speed = 100, length = 0 } of rows) {
        for (let j = length; j < frames; j += 1) {
          expect(shown[at + j]).toBe(from + Math.floor((j * speed) / 100));
        }
        at += frames;
      }
      // Picture and sound end together, to the sample.
      const [video, audio] = await Promise.all(
        ['v:0', 'a:0'].map(async (stream) =>
          Number((await probeLines(film, stream, 'stream=duration'))[0]),
        ),
      );
      expect(video).toBeCloseTo(3.6, 5);
      expect(Math.abs(audio! - 3.6)).toBeLessThan(0.025);
      // Given back, the list is the same.
      const text = await readFile(join(run.directory, 'cuts.otio'), 'utf8');
      const again = await runMontage(
        chain,
        { clips: paths, music, cuts: { name: 'cuts.otio', text } },
        { resume: { directory: run.directory, after: 'listen' }, until: 'cutlist' },
      );
      expect(again.outcome).toEqual({ state: 'succeeded' });
      expect(await readFile(join(again.directory, 'cuts.json'), 'utf8')).toBe(
        await readFile(join(run.directory, 'cuts.json'), 'utf8'),
      );
    },
    SLOW_MS,
  );
});

describe('with a model that makes pictures larger', () => {
  /** Of its own: models stay in memory between units. */
  let modelChain: FilmChain;
  beforeAll(async () => {
    modelChain = await FilmChain.open();
  });
  afterAll(() => modelChain.close());
  const file = nearestModel(2);
  const model = { model: upscaler(file), file };
  const large = async (): Promise<string> => {
    const path = join(clips.directory, 'large.mp4');
    const scaled = ['-vf', 'scale=640:360:flags=neighbor', '-c:v', 'libx264', '-crf', '12'];
    await ffmpeg(['-i', await clips.path('closed-gop'), ...scaled, path]);
    return path;
  };

  test(
    'small clips go through it, large ones do not, and every frame is the one that the list says',
    async () => {
      const small = await clips.path('variable-rate');
      const name = basename(small);
      const rows: readonly Row[] = [
        { clip: name, from: 13, frames: 14 },
        // Lent frames are from the small clip, then from the large one.
        { clip: 'large.mp4', from: 30, frames: 12, transition: 'dissolve', length: 5 },
        { clip: name, from: 40, frames: 12, speed: 50, transition: 'whip', length: 4 },
        { clip: 'large.mp4', from: 60, frames: 8 },
      ];
      const run = await runMontage(
        modelChain,
        { clips: [small, await large()], music, cuts: table(rows) },
        { width: 640, height: 360, model },
      );
      expect(run.outcome).toEqual({ state: 'succeeded' });
      const names = (await readdir(run.directory)).filter((entry) => /^(shot|small)-/.test(entry));
      expect(names.sort()).toEqual([
        'shot-00003.json',
        'small-00000.json',
        'small-00001.json',
        'small-00002.json',
      ]);
      expect(run.log).toContainEqual(
        `through the model: ${name} (320x180), 2 shots. Large enough: large.mp4 (640x360), 2 shots`,
      );
      const proof = await readFile(join(run.directory, 'proof.json'), 'utf8');
      expect((JSON.parse(proof) as { checks: unknown[] }).checks).toContainEqual({
        check: 'shots that went through the model',
        expected: '1 3',
        found: '1 3',
        ok: true,
      });
      const shown = await frameNumbers(join(run.directory, 'film.mp4'));
      const seen = {
        [name]: await seenAt25(small),
        'large.mp4': await frameNumbers(await large()),
      };
      let at = 0;
      // A dissolve begins with the frame after the last one of the shot before: the handle.
      expect(shown[14]).toBe(seen[name]![13 + 14]);
      for (const { clip, from, frames, speed = 100, length = 0 } of rows) {
        for (let j = length; j < frames; j += 1) {
          expect(shown[at + j]).toBe(seen[clip]![from + Math.floor((j * speed) / 100)]);
        }
        at += frames;
      }
    },
    SLOW_MS,
  );

  test(
    'fields, a turned picture and one that cannot be cut, steadied and enhanced in little memory',
    async () => {
      const fields = join(clips.directory, 'small-fields.ts');
      const source = ['-f', 'lavfi', '-i', 'testsrc2=s=176x144:r=50:d=1'];
      const interlaced = ['-vf', 'tinterlace=interleave_top,setsar=16/11', '-flags', '+ildct+ilme'];
      await ffmpeg([...source, ...interlaced, '-c:v', 'mpeg2video', '-q:v', '3', fields]);
      const turned = await clips.path('rotated');
      const cuts = table([
        { clip: 'small-fields.ts', from: 2, frames: 10 },
        { clip: basename(turned), from: 5, frames: 14, transition: 'zoom', length: 4 },
        { clip: 'small-fields.ts', from: 3, frames: 10, transition: 'dip-black', length: 4 },
      ]);
      const deep = deepModel(3, 24, 2);
      const run = await runMontage(
        modelChain,
        { clips: [fields, turned], music, cuts },
        {
          width: 480,
          height: 270,
          fit: 'pad',
          stabilize: true,
          enhance: true,
          model: { model: upscaler(deep, { scale: 3, halo: 18 }), file: deep },
          limitBytes: 500 * 2 ** 20,
        },
      );
      expect(run.outcome).toEqual({ state: 'succeeded' });
      const proof = await readFile(join(run.directory, 'proof.json'), 'utf8');
      expect(JSON.parse(proof)).toMatchObject({ ok: true, frames: 34 });
    },
    SLOW_MS,
  );

  test('a model that makes something else of a picture is found out', async () => {
    const file = negativeModel(2);
    const clip = await clips.path('closed-gop');
    const cuts = table([{ clip: 'closed.mp4', from: 5, frames: 4 }]);
    const run = await runMontage(
      modelChain,
      { clips: [clip], music, cuts },
      { width: 640, height: 360, model: { model: upscaler(file), file } },
    );
    expect(run.outcome).toMatchObject({ state: 'failed', kind: 'bad-output' });
    expect(run.step).toBe('enlarged');
  });
});

test(
  'a montage is chosen, steadied, enhanced, graded and proven; proxies have every frame',
  async () => {
    const fields = join(clips.directory, 'fields.ts');
    const source = ['-f', 'lavfi', '-i', 'testsrc2=s=352x288:r=50:d=2'];
    const interlaced = ['-vf', 'tinterlace=interleave_top,setsar=16/11', '-flags', '+ildct+ilme'];
    await ffmpeg([...source, ...interlaced, '-c:v', 'mpeg2video', '-q:v', '3', fields]);
    const paths = [await clips.path('rotated'), fields];
    const run = await runMontage(
      chain,
      { clips: paths, music },
      {
        style: 'vintage',
        lengthMs: 3000,
        rate: { num: 30_000, den: 1001 },
        stabilize: true,
        enhance: true,
        proxies: true,
        encoder: 'libx265',
        film: 'film.mkv',
      },
    );
    expect(run.outcome).toEqual({ state: 'succeeded' });
    const proof = JSON.parse(await readFile(join(run.directory, 'proof.json'), 'utf8')) as {
      ok: boolean;
      frames: number;
    };
    expect(proof).toMatchObject({ ok: true, frames: 89 });
    const list = await readFile(join(run.directory, 'cuts.csv'), 'utf8');
    for (const [index, name] of ['rotated.mp4', 'fields.ts'].entries()) {
      expect(list).toContain(name);
      const proxy = join(run.directory, 'proxies', name.endsWith('.mp4') ? name : `${name}.mp4`);
      const analysis = await readFile(join(run.directory, `clip-0000${index}.json`), 'utf8');
      const { frames } = JSON.parse(analysis) as { frames: number };
      expect((await frameSeconds(proxy)).length).toBe(frames);
    }
  },
  SLOW_MS,
);

describe('planted faults are found', () => {
  const rows: readonly Row[] = [
    { clip: 'closed.mp4', from: 5, frames: 12 },
    { clip: 'closed.mp4', from: 50, frames: 12 },
  ];

  const inputs = async (): Promise<MontageInputs> => ({
    clips: [await clips.path('closed-gop')],
    music,
    cuts: table(rows),
  });
  let made: string;
  beforeAll(async () => {
    made = (await runMontage(chain, await inputs())).directory;
  });

  /** Something goes wrong after a step; the next ones are run again. */
  const spoilt = async (
    after: string,
    spoil: (directory: string) => Promise<void>,
  ): Promise<{ readonly step: string; readonly message: string }> => {
    const directory = join(chain.root, `spoilt-${after}-${(spoils += 1)}`);
    await cp(made, directory, { recursive: true });
    await spoil(directory);
    const run = await runMontage(chain, await inputs(), { resume: { directory, after } });
    if (run.outcome.state !== 'failed') throw new Error('nothing was found');
    expect(run.outcome.kind).toBe('bad-output');
    return { step: run.step, message: run.outcome.message };
  };
  let spoils = 0;

  test('a piece of other frames', async () => {
    const { step, message } = await spoilt('take-00000', (directory) =>
      copyFile(join(directory, 'piece-00001.gray'), join(directory, 'piece-00000.gray')),
    );
    expect(step).toBe('shots');
    expect(message).toMatch(/piece-00000.nut is not what its clip shows/);
  });

  test('a piece that is one frame off', async () => {
    const { message } = await spoilt('take-00000', async (directory) => {
      const path = join(directory, 'piece-00000.json');
      const piece = JSON.parse(await readFile(path, 'utf8')) as { from: number };
      await writeFile(path, JSON.stringify({ ...piece, from: piece.from + 1 }));
    });
    expect(message).toMatch(/shows what frame \d+ should|differs by/);
  });

  test('two shots that changed places', async () => {
    const { step, message } = await spoilt('shots', async (directory) => {
      const at = (name: string): string => join(directory, name);
      await copyFile(at('chunk-00000.mp4'), at('aside.mp4'));
      await copyFile(at('chunk-00001.mp4'), at('chunk-00000.mp4'));
      await copyFile(at('aside.mp4'), at('chunk-00001.mp4'));
    });
    expect(step).toBe('proof');
    expect(message).toMatch(/not those of shot 1/);
  });

  test('a list that was changed after the film was made', async () => {
    const { step, message } = await spoilt('join', async (directory) => {
      const path = join(directory, 'cuts.edl');
      const text = await readFile(path, 'utf8');
      await writeFile(path, text.replace('00:00:00:05', '00:00:00:06'));
    });
    expect(step).toBe('proof');
    expect(message).toMatch(/cuts.edl says other cuts/);
  });
});

describe('what cannot be used is refused by name', () => {
  const refusal = async (inputs: MontageInputs, lengthMs = 2000): Promise<string> => {
    const isList = inputs.cuts !== undefined;
    const run = await runMontage(chain, inputs, isList ? {} : { style: 'calm', lengthMs });
    if (run.outcome.state !== 'failed') throw new Error('it was not refused');
    expect(run.outcome.kind).toBe('invalid-input');
    expect(run.outcome.message).not.toMatch(/\n/);
    return run.outcome.message;
  };

  const written = async (name: string, text: string): Promise<string> => {
    const path = join(clips.directory, name);
    await writeFile(path, text);
    return path;
  };

  test('clips and music that are none', async () => {
    const clip = await clips.path('closed-gop');
    const playlist = `#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n${clip}\n#EXT-X-ENDLIST\n`;
    expect(await refusal({ clips: [await written('holiday.mp4', playlist)], music })).toMatch(
      /holiday\.mp4 is a playlist/,
    );
    expect(await refusal({ clips: [music], music })).toMatch(/song\.mp3 (has only audio|is )/);
    const text = await written('words.mp3', 'la la la');
    expect(await refusal({ clips: [clip], music: text })).toMatch(/words\.mp3 is no music/);
    const list = await written('list.mp3', playlist);
    expect(await refusal({ clips: [clip], music: list })).toMatch(/list\.mp3 is a playlist/);
    expect(await refusal({ clips: [clip], music: await clips.path('silent') })).toMatch(
      /has no sound/,
    );
  });

  test('a film that is longer than its music, and a list that names what is not there', async () => {
    const paths = [await clips.path('closed-gop')];
    expect(await refusal({ clips: paths, music }, 60_000)).toMatch(
      /takes 60 s of the music, which has 8/,
    );
    const cuts = table([{ clip: 'other.mp4', from: 0, frames: 5 }]);
    expect(await refusal({ clips: paths, music, cuts })).toMatch(
      /cuts\.csv: line 2 names 'other\.mp4', which is none of the clips/,
    );
  });
});
