import { describe, expect, test } from 'vitest';
import { ffmpegArgv, ffprobeArgv } from '../../../../../agent/runners/film/ffmpeg-argv.ts';

const OUTPUT = { name: { file: 'out put.mp4' }, options: ['-vf', 'scale=2:2, null'] } as const;

/** Options that stand between the input before (or the start) and `-i name`. */
function before(argv: readonly string[], name: string): readonly string[] {
  const at = argv.indexOf(name) - 1;
  const from = argv.lastIndexOf('-i', at - 1);
  return argv.slice(from < 0 ? 0 : from + 2, at);
}

describe('arguments for ffmpeg', () => {
  const argv = ffmpegArgv(
    [
      { name: '-a b.mp4', options: ['-itsoffset', '0.5'] },
      { name: 'list', list: true },
    ],
    [OUTPUT],
    { progress: false, threads: 2 },
  );

  test('every input is fenced, and no name can be read as an option or a protocol', () => {
    for (const name of ['file:-a b.mp4', 'file:list']) {
      const options = before(argv, name);
      expect(options).toContain('-protocol_whitelist');
      expect(options[options.indexOf('-protocol_whitelist') + 1]).toBe('file');
      expect(options).toContain('-format_whitelist');
      expect(options).toContain('-max_pixels');
    }
  });

  test('playlists are opened only where the list is our own', () => {
    const formats = (name: string) => {
      const options = before(argv, name);
      return options[options.indexOf('-format_whitelist') + 1]!.split(',');
    };
    expect(formats('file:-a b.mp4')).not.toContain('concat');
    expect(formats('file:-a b.mp4')).not.toContain('hls');
    expect(formats('file:list')).toContain('concat');
    expect(formats('file:list')).not.toContain('hls');
  });

  test('values with spaces stay whole', () => {
    expect(argv.slice(-3)).toEqual(['-vf', 'scale=2:2, null', 'file:out put.mp4']);
  });

  test('it never asks, and complains only of errors', () => {
    expect(argv).toEqual(expect.arrayContaining(['-nostdin', '-y', '-hide_banner']));
    expect(argv[argv.indexOf('-loglevel') + 1]).toBe('error');
  });

  test('progress only where it is read', () => {
    expect(argv).not.toContain('-progress');
    expect(ffmpegArgv([{ name: 'a' }], [OUTPUT], { progress: true, threads: 1 })).toContain(
      '-progress',
    );
  });

  test('decoders take no more threads than the unit has booked', () => {
    const options = before(argv, 'file:list');
    expect(options[options.indexOf('-threads') + 1]).toBe('2');
  });

  test('no block of memory is larger than a picture and an index need', () => {
    const first = argv.indexOf('-i');
    expect(argv.indexOf('-max_alloc')).toBeGreaterThan(0);
    expect(argv.indexOf('-max_alloc')).toBeLessThan(first);
    expect(ffprobeArgv('x.mp4', [])).toContain('-max_alloc');
  });

  test('ffprobe is fenced as well', () => {
    expect(ffprobeArgv('x.mp4', ['-show_streams']).slice(-3)).toEqual([
      '-show_streams',
      '-i',
      'file:x.mp4',
    ]);
    expect(ffprobeArgv('x.mp4', [])).toContain('-protocol_whitelist');
  });
});
