/** What is not a film must be refused by the first unit, in one line that says why. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Clips, ffmpeg } from '../../support/clips.ts';
import { FilmChain } from '../../support/film-chain.ts';

describe('a bad source', () => {
  let clips: Clips;
  let chain: FilmChain;
  beforeAll(async () => {
    clips = await Clips.open();
    chain = await FilmChain.open();
  });
  afterAll(async () => {
    await chain.close();
    await clips.close();
  });

  const refused = async (name: string, content: string | Uint8Array): Promise<string> => {
    const path = join(clips.directory, name);
    await writeFile(path, content);
    const result = await chain.transcode(path);
    expect(result.step).toBe('split');
    if (result.outcome.state !== 'failed') throw new Error('it was not refused');
    expect(result.outcome.kind).toBe('invalid-input');
    expect(result.outcome.message).not.toMatch(/\n/);
    expect(result.outcome.message).toContain(name);
    return result.outcome.message;
  };

  test('text under the name of a film', async () => {
    expect(await refused('text.mp4', 'Dear diary, today I shot no film at all.\n')).toMatch(
      /text\.mp4 is not a video/,
    );
  });

  test('text under a name that says nothing', async () => {
    expect(await refused('text.bin', 'nothing to see here\n')).toMatch(/not a video/);
  });

  test('a picture too small for the encoder', async () => {
    const path = join(clips.directory, 'dot.mkv');
    const dot = ['-f', 'lavfi', '-i', 'color=s=2x2:r=25:d=0.2', '-vf', 'format=gray,crop=1:1'];
    await ffmpeg([...dot, '-c:v', 'ffv1', path]);
    const { outcome } = await chain.transcode(path);
    expect(outcome).toEqual({
      state: 'failed',
      kind: 'invalid-input',
      message:
        'dot.mkv is 1x1, a side of 1 pixels: libx264 takes none below 2; give a larger --size, or another encoder',
    });
  });

  test('an empty file', async () => {
    expect(await refused('empty.mp4', '')).toBe('empty.mp4 is empty');
  });

  test('half a film whose index is at its front', async () => {
    const whole = join(clips.directory, 'front.mp4');
    const copy = ['-c', 'copy', '-movflags', '+faststart'];
    await ffmpeg(['-i', await clips.path('closed-gop'), ...copy, whole]);
    const bytes = await readFile(whole);
    expect(await refused('half.mp4', bytes.subarray(0, bytes.length / 2))).toMatch(
      /truncated: it ends after \d+ of its video packets/,
    );
  });

  test('half a film whose index was at its end', async () => {
    const bytes = await readFile(await clips.path('closed-gop'));
    expect(await refused('no-index.mp4', bytes.subarray(0, bytes.length / 2))).toMatch(
      /index \(moov\) is missing/,
    );
  });

  test('half a Matroska film', async () => {
    const bytes = await readFile(await clips.path('everything'));
    expect(await refused('half.mkv', bytes.subarray(0, bytes.length / 2))).toMatch(/truncated/);
  });

  test('sound without a picture', async () => {
    const path = join(clips.directory, 'sound.mp4');
    await ffmpeg(['-i', await clips.path('closed-gop'), '-vn', '-c', 'copy', path]);
    expect(await refused('sound-only.mp4', await readFile(path))).toMatch(/only audio/);
  });

  test('a codec that nobody knows', async () => {
    const bytes = await readFile(await clips.path('silent'));
    const tag = bytes.indexOf('avc1', bytes.indexOf('stsd'));
    bytes.write('zzzz', tag, 'latin1');
    expect(await refused('unknown.mp4', bytes)).toMatch(/unknown codec \(zzzz\)/);
  });

  test('a track without any frame', async () => {
    const path = join(clips.directory, 'no-frames.mp4');
    const source = ['-f', 'lavfi', '-i', 'color=s=64x64:r=25:d=1'];
    await ffmpeg([...source, '-frames:v', '0', '-c:v', 'libx264', path]).catch(() => undefined);
    expect(await refused('none.mp4', await readFile(path))).toMatch(/frame|video/);
  });

  test('a playlist that names another file', async () => {
    const secret = await clips.path('closed-gop');
    const playlist = `#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n${secret}\n#EXT-X-ENDLIST\n`;
    expect(await refused('playlist.mp4', playlist)).toMatch(/playlist/);
  });

  test('a picture beyond the limit', async () => {
    const path = join(clips.directory, 'large.mkv');
    const source = ['-f', 'lavfi', '-i', 'color=s=6016x6016:r=1:d=1'];
    await ffmpeg([...source, '-c:v', 'libx264', '-preset', 'ultrafast', path]);
    expect(await refused('huge.mkv', await readFile(path))).toMatch(/6016x6016, beyond/);
  });
});
