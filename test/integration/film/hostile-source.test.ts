/**
 * Films that mean harm: none may have a file read or a connection opened, none may outlive its limit,
 * and each that is refused says in one line what is wrong with it.
 */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { splitRunner } from '../../../agent/runners/film/split.ts';
import type { RunOutcome } from '../../../agent/runners/runner.ts';
import { Clips, ffmpeg } from '../../support/clips.ts';
import { FilmChain } from '../../support/film-chain.ts';
import {
  h264Of,
  pngOf,
  scripts,
  withDuration,
  withSamples,
  withSamplesElsewhere,
  withSize,
  withTracks,
} from '../../support/hostile-films.ts';
import { Traps } from '../../support/traps.ts';

let clips: Clips;
let chain: FilmChain;
let traps: Traps;
/** A small film, its index at its end. */
let good: Buffer;
/** A film of one picture. */
let tiny: Buffer;

beforeAll(async () => {
  clips = await Clips.open();
  chain = await FilmChain.open();
  traps = await Traps.set();
  good = await readFile(await clips.path('silent'));
  tiny = await readFile(await clips.path('one-frame'));
});

afterEach(async () => {
  await traps.refuseSprung();
  await chain.refuseRunning();
});

afterAll(async () => {
  await traps.close();
  await chain.close();
  await clips.close();
});

async function stored(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(clips.directory, name);
  await writeFile(path, content);
  return path;
}

/** Its one line. */
function refusal(outcome: RunOutcome): string {
  if (outcome.state !== 'failed') throw new Error('it was not refused');
  expect(outcome.message).not.toMatch(/\n|untrusted-input/);
  expect({ kind: outcome.kind, message: outcome.message }).toMatchObject({ kind: 'invalid-input' });
  return outcome.message;
}

async function refused(name: string, content: string | Uint8Array): Promise<string> {
  const message = refusal((await chain.split(await stored(name, content))).outcome);
  expect(message).toContain(name);
  return message;
}

/** What ffprobe would do without a fence: the traps must notice, or this whole file proves nothing. */
async function springs(path: string, options: readonly string[]): Promise<string[]> {
  const open = ['-protocol_whitelist', 'file,http,tcp,crypto,data', ...options, path];
  const child = execFile('ffprobe', ['-v', 'quiet', ...open]);
  const ended = new Promise((settle) => child.once('close', settle));
  const touched = new Set<string>();
  await vi.waitFor(
    async () => {
      for (const trap of await traps.sprung()) touched.add(trap);
      expect(touched.size).toBeGreaterThan(0);
    },
    { timeout: 20_000, interval: 50 },
  );
  child.kill('SIGKILL');
  await ended;
  await traps.sprung();
  return [...touched];
}

describe('the traps', () => {
  test('notice a playlist that is followed', async () => {
    const list = `#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n${traps.url}/one.ts\n#EXT-X-ENDLIST\n`;
    expect(await springs(await stored('followed.m3u8', list), [])).toContain('network');
  });

  test('notice a playlist of files that is followed', async () => {
    const list = scripts(traps.secret, traps.url)['HLS playlist']!;
    expect(await springs(await stored('followed.m3u8', list), [])).toContain('file');
  });

  test('notice a concat script that is followed', async () => {
    const script = await stored(
      'followed.ffconcat',
      `ffconcat version 1.0\nfile '${traps.secret}'\n`,
    );
    expect(await springs(script, ['-safe', '0'])).toContain('file');
  });

  test('notice samples that are looked for elsewhere', async () => {
    const film = await stored('followed.mov', withSamplesElsewhere(good, traps.secret));
    expect(await springs(film, ['-enable_drefs', '1', '-use_absolute_path', '1'])).toContain(
      'file',
    );
  });
});

describe('a script under the name of a film', () => {
  const kinds = Object.keys(scripts('', ''));
  test.each(kinds)('%s', async (kind) => {
    const script = scripts(traps.secret, traps.url)[kind]!;
    expect(await refused('holiday.mp4', script)).toMatch(/is a playlist|is not a video/);
  });

  test('and under its own', async () => {
    const own = scripts(traps.secret, traps.url);
    expect(await refused('list.m3u8', own['HLS playlist']!)).toMatch(/is a playlist/);
    expect(await refused('list.ffconcat', own['concat script']!)).toMatch(/is a playlist/);
    expect(await refused('list.sdp', own['session description']!)).toMatch(/is a playlist/);
  });
});

test('samples that are said to lie in another file', async () => {
  const film = withSamplesElsewhere(good, traps.secret);
  expect(await refused('elsewhere.mov', film)).toMatch(/no frame|without any frame/);
});

describe('sizes that nobody can hold', () => {
  test('a header that claims 65535×65535', async () => {
    const film = withSize(good, 65_535, 65_535);
    expect(await refused('claims.mp4', film)).toMatch(/picture of 65535x65535, beyond/);
  });

  test.each([
    [512, '8192x8192'],
    [4096, '65536x65536'],
  ])('H.264 of %i blocks a side', async (blocks, size) => {
    expect(await refused('blocks.mp4', h264Of(blocks, blocks))).toMatch(
      new RegExp(`a picture of ${size}, beyond what is taken \\(8K, 36000000 pixels\\)`),
    );
  });

  test('a film whose pictures grow when nobody looks any more', async () => {
    const small = join(clips.directory, 'small.h264');
    await ffmpeg(['-i', await clips.path('silent'), '-c', 'copy', '-f', 'h264', small]);
    const path = await stored(
      'grows.h264',
      Buffer.concat([await readFile(small), h264Of(512, 512)]),
    );
    // The small ones are a film; the others were never given memory.
    const { outcome, log } = await chain.split(path);
    expect(outcome).toEqual({ state: 'succeeded' });
    expect(log.join('\n')).toMatch(/error/);
    expect(log.join('\n')).not.toMatch(/untrusted-input/);
    expect(log.at(-1)).toBe('plan.json: 75 frames in 1 pieces (whole)');
  });

  test('a picture file that unpacks to gigabytes', async () => {
    expect(await refused('bomb.mp4', pngOf(65_535))).toMatch(
      /65535x65535, beyond|format that is not taken/,
    );
  });

  test('such a picture as the frame of a film', async () => {
    const path = join(clips.directory, 'pictures.mov');
    const source = ['-f', 'lavfi', '-i', 'color=s=64x64:r=5:d=1'];
    await ffmpeg([...source, '-c:v', 'png', path]);
    const film = await readFile(path);
    for (let at = film.indexOf('IHDR'); at >= 0; at = film.indexOf('IHDR', at + 1)) {
      film.writeUInt32BE(60_000, at + 4);
      film.writeUInt32BE(60_000, at + 8);
    }
    expect(await refused('pictures.mov', film)).toMatch(/60000x60000, beyond/);
  });

  test('a picture that is a line', async () => {
    const path = join(clips.directory, 'line.mkv');
    const source = ['-f', 'lavfi', '-i', 'color=s=20000x2:r=5:d=1'];
    await ffmpeg([...source, '-c:v', 'ffv1', path]);
    expect(await refused('line.mkv', await readFile(path))).toMatch(
      /picture of 20000x2: a side may have 16384 pixels/,
    );
  });

  test.each([600, 3000])('%i tracks', async (tracks) => {
    expect(await refused('tracks.mp4', withTracks(good, tracks))).toMatch(
      /more tracks than the 500 that are taken/,
    );
  });

  test('an index of 268 million samples in a small file', async () => {
    expect(await refused('index.mp4', withSamples(good, 0x0fff_ffff))).toMatch(/frame|memory/);
  });

  test('a header that says centuries', async () => {
    expect(await refused('long.mp4', withDuration(good, 6e9))).toMatch(
      /says that it lasts \d+:\d\d:\d\d\.\d+, at most 48:00:00\.000 is taken/,
    );
  });

  test('frames that lie a year apart', async () => {
    const path = join(clips.directory, 'apart.mkv');
    const filter = 'setpts=N*315360/TB';
    const source = ['-f', 'lavfi', '-i', 'color=s=64x64:r=25:d=4', '-vf', filter];
    await ffmpeg([...source, '-fps_mode', 'passthrough', '-c:v', 'ffv1', path]);
    expect(await refused('apart.mkv', await readFile(path))).toMatch(/at most 48:00:00\.000/);
  });

  test('ten thousand frames a second', async () => {
    const path = join(clips.directory, 'swift.mp4');
    const source = ['-f', 'lavfi', '-i', 'color=s=64x64:r=10000:d=0.1'];
    await ffmpeg([...source, '-c:v', 'libx264', '-preset', 'ultrafast', path]);
    expect(await refused('swift.mp4', await readFile(path))).toMatch(/at most 1000 a second/);
  });

  test('a title without end, and tags that nobody asked for', async () => {
    const path = join(clips.directory, 'tags.mkv');
    const tag = (name: string, letters: number): string[] => [
      '-metadata:s:v',
      `${name}=${'x'.repeat(letters)}`,
    ];
    const copy = ['-i', await clips.path('silent'), '-c', 'copy'];
    await ffmpeg([...copy, ...tag('comment', 50_000), path]);
    expect((await chain.split(path)).outcome).toEqual({ state: 'succeeded' });
    await ffmpeg([...copy, ...tag('title', 50_000), path]);
    expect(refusal((await chain.split(path)).outcome)).toMatch(/title beyond 8000 letters/);
  });
});

describe('headers that say too little', () => {
  test('no duration', async () => {
    const path = await stored('zero.mp4', withDuration(good, 0));
    const { outcome } = await chain.split(path);
    if (outcome.state === 'failed') refusal(outcome);
  });

  test.each([0.02, 0.3, 0.6, 0.9, 0.97, 0.985, 0.995])('cut off at %d', async (share) => {
    const bytes = Math.floor(good.length * share);
    expect(await refused('cut.mp4', good.subarray(0, bytes))).toMatch(/cut\.mp4/);
  });
});

test.each([
  ['zmbv', 'recorder.avi', ['-c:v', 'zmbv']],
  ['g722', 'phone.mkv', ['-f', 'lavfi', '-i', 'sine=d=1:r=16000', '-ac', '1', '-c:a', 'g722']],
])('a decoder that is not for films: %s', async (codec, name, options) => {
  const path = join(clips.directory, name);
  await ffmpeg(['-f', 'lavfi', '-i', 'testsrc2=s=64x64:r=5:d=1', ...options, path]);
  expect(refusal((await chain.split(path)).outcome)).toContain(
    `${name} has a track of codec ${codec}, which is not taken`,
  );
});

describe('names', () => {
  test.each([
    '-i.mp4',
    '%d.mp4',
    'clip%03d.png',
    'concat:a.mp4|b.mp4',
    'subfile,,start,0,end,9,,:x.mp4',
    'data:text,x.m3u8',
    'pipe:0',
    'list.m3u8',
    'script.ffconcat',
    'a film without an ending',
    "it's [0:v];'\"$(x)`.mp4",
    'untrusted-input-0',
  ])('%s is only a name: the film in it is made', async (name) => {
    const { outcome } = await chain.split(await stored(name, tiny));
    expect(outcome).toEqual({ state: 'succeeded' });
  });

  test('all steps of a film take such a name', async () => {
    const name = "-y concat:a|b%03d;[v]'.m3u8";
    const { outcome } = await chain.transcode(await stored(name, tiny));
    expect(outcome).toEqual({ state: 'succeeded' });
  });

  const splitOf = (
    source: string,
    prepare: (directory: string) => Promise<void>,
  ): Promise<RunOutcome> =>
    chain.attempt(splitRunner, { $case: 'split', value: { source, pieceMs: 0 } }, prepare);

  test('that lead out of the unit', async () => {
    const outside = async (directory: string): Promise<void> => {
      await copyFile(await clips.path('silent'), join(directory, '..', 'outside.mp4'));
    };
    expect(refusal(await splitOf('../outside.mp4', outside))).toMatch(/has the part '\.\.'/);
    const absolute = await clips.path('silent');
    expect(refusal(await splitOf(absolute, outside))).toMatch(/it is absolute/);
  });

  test('of what is not there', async () => {
    expect(refusal(await splitOf('gone.mp4', () => Promise.resolve()))).toBe(
      "gone.mp4 is none of the unit's inputs: name it as one",
    );
  });

  test('of what is no file', async () => {
    const link = async (directory: string): Promise<void> =>
      symlink(await clips.path('silent'), join(directory, 'link.mp4'));
    expect(refusal(await splitOf('link.mp4', link))).toMatch(/link\.mp4 is not a regular file/);
    const folder = async (directory: string): Promise<void> => {
      await mkdir(join(directory, 'folder.mp4'));
    };
    expect(refusal(await splitOf('folder.mp4', folder))).toMatch(/not a regular file/);
    // Nobody writes to it: whoever opens it waits for ever.
    const pipe = async (directory: string): Promise<void> => {
      await promisify(execFile)('mkfifo', [join(directory, 'endless.mp4')]);
    };
    expect(refusal(await splitOf('endless.mp4', pipe))).toMatch(/not a regular file/);
  });
});

test('subtitles and fonts that reach for files are carried along and never opened', async () => {
  const font = await stored('evil.ttf', Buffer.alloc(4096, 0xa5));
  const script =
    '[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\n' +
    `Style: Default,${traps.secret},20\n\n[Events]\n` +
    'Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n' +
    `Dialogue: 0,0:00:00.00,0:00:02.00,Default,,0,0,0,,{\\fn${traps.secret}\\p9}m 0 0 l 1e9 1e9\n`;
  const words = await stored('words.ass', script);
  const path = join(clips.directory, 'fonts.mkv');
  const named = ['-metadata:s:t', 'mimetype=application/x-truetype-font'];
  const filename = ['-metadata:s:t', 'filename=../../../../etc/cron.d/evil'];
  const inputs = ['-i', await clips.path('one-frame'), '-i', words, '-map', '0:v', '-map', '1:s'];
  await ffmpeg([...inputs, '-c', 'copy', '-attach', font, ...named, ...filename, path]);
  for (const film of ['film.mp4', 'film.mkv']) {
    const made = await chain.transcode(path, { film });
    expect(made.outcome).toEqual({ state: 'succeeded' });
    const left = (await readdir(made.directory)).filter((name) => /evil|ttf|untrusted/.test(name));
    expect(left).toEqual([]);
  }
});
