import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  UntrustedInputs,
  untrustedInput,
} from '../../../../../agent/runners/film/untrusted-input.ts';

describe('options before an input', () => {
  const valueOf = (options: readonly string[], name: string): string[] =>
    (options[options.indexOf(name) + 1] ?? '').split(',');

  test('only files, films, decoders of films, and bounds of each kind', () => {
    const options = untrustedInput('film');
    expect(valueOf(options, '-protocol_whitelist')).toEqual(['file']);
    const formats = valueOf(options, '-format_whitelist');
    expect(formats).toEqual(expect.arrayContaining(['mov', 'matroska', 'mpegts']));
    const scripts = 'concat hls dash image2 image2pipe lavfi sdp rtsp tee imf ass srt webvtt';
    for (const script of scripts.split(' ')) expect(formats).not.toContain(script);
    const codecs = valueOf(options, '-codec_whitelist');
    expect(codecs).toEqual(expect.arrayContaining(['h264', 'libdav1d', 'aac', 'subrip']));
    expect(codecs.filter((codec) => !/^[a-z0-9_-]+$/.test(codec))).toEqual([]);
    expect(codecs).not.toContain('librsvg');
    for (const bound of ['-max_pixels', '-max_streams', '-probesize', '-max_probe_packets']) {
      expect(Number(options[options.indexOf(bound) + 1])).toBeGreaterThan(0);
    }
  });

  test('a list of our own opens MP4 and nothing else', () => {
    expect(valueOf(untrustedInput('list'), '-format_whitelist')).toEqual(['concat', 'mov']);
  });
});

describe('names', () => {
  let directory: string;
  let inputs: UntrustedInputs;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'furrow-inputs-'));
    inputs = new UntrustedInputs(directory);
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  test.each(['%d.png', 'concat:a|b', '-i', 'list.m3u8', 'piece-00000.m3u8', 'a/b.mp4'])(
    '%s is opened by another',
    async (name) => {
      await mkdir(join(directory, 'a'));
      await writeFile(join(directory, name), 'a film');
      const { alias, sizeBytes } = await inputs.open(name);
      expect(alias).toMatch(/^[a-z0-9-]+$/);
      expect(sizeBytes).toBe(6);
      expect(await readFile(join(directory, alias), 'utf8')).toBe('a film');
      expect(await inputs.open(name)).toEqual({ alias, sizeBytes });
      expect(inputs.inTheirNames(`file:${alias}: no film`)).toBe(`${name}: no film`);
      await inputs.close();
      expect((await readdir(directory)).filter((entry) => entry === alias)).toEqual([]);
    },
  );

  test('our own stay', async () => {
    for (const name of ['piece-00003.nut', 'chunk-00003.mp4', 'audio.m4a', 'chunks.ffconcat']) {
      expect((await inputs.open(name)).alias).toBe(name);
    }
  });

  test('two films have two', async () => {
    const [one, two] = [await inputs.open('one.mp4'), await inputs.open('two.mp4')];
    expect(one.alias).not.toBe(two.alias);
  });

  test('what leads out of the directory, or is no file, is refused', async () => {
    await symlink('/', join(directory, 'link'));
    for (const name of ['../x.mp4', '/x.mp4', 'a/../../x', '', 'link']) {
      await expect(inputs.open(name)).rejects.toMatchObject({ kind: 'invalid-input' });
    }
  });
});
