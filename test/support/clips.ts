/**
 * Small films of every awkward kind, rendered with ffmpeg once for each test run. Every frame carries
 * its number as a row of black and white blocks at its top, so that a test can read back which frames
 * a film shows, independent of what any runner believes.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const CLIP_FPS = 25;
const WIDTH = 320;
const HEIGHT = 180;
/** Bits of a frame's number, one block each. */
const BITS = 10;
const BLOCK_HEIGHT = 32;

export type ClipKind =
  | 'closed-gop'
  | 'open-gop'
  | 'open-gop-hevc'
  | 'variable-rate'
  | 'silent'
  | 'late-audio'
  | 'late-picture'
  | 'odd-size'
  | 'rotated'
  | 'edit-list'
  | 'one-frame'
  | 'everything'
  | 'transport-stream'
  | 'without-times'
  | 'ten-bit'
  | 'interlaced'
  | 'hdr10'
  | 'sixty';

export class Clips {
  readonly directory: string;
  readonly #rendered = new Map<ClipKind, Promise<string>>();

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async open(): Promise<Clips> {
    return new Clips(await mkdtemp(join(tmpdir(), 'furrow-clips-')));
  }

  async close(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }

  /** Path of the clip. */
  async path(kind: ClipKind): Promise<string> {
    let rendered = this.#rendered.get(kind);
    if (rendered === undefined) {
      rendered = this.#render(kind);
      this.#rendered.set(kind, rendered);
    }
    return rendered;
  }

  async #render(kind: ClipKind): Promise<string> {
    const file = (name: string): string => join(this.directory, name);
    switch (kind) {
      case 'closed-gop':
        return render(file('closed.mp4'), [picture(4), tone(4)], [X264, AAC]);
      case 'open-gop':
        return render(file('open.mp4'), [picture(4), tone(4)], [X264_OPEN, AAC]);
      case 'open-gop-hevc':
        return render(file('open-hevc.mp4'), [picture(4), tone(4)], [X265_OPEN, AAC]);
      case 'variable-rate':
        return render(file('variable.mp4'), [picture(4, UNSTEADY), tone(4)], [VARIABLE, AAC]);
      case 'silent':
        return render(file('silent.mp4'), [picture(3)], [X264]);
      case 'late-audio':
        return render(
          file('late-audio.mp4'),
          [picture(4), ['-itsoffset', '0.372', ...tone(3)]],
          [X264, AAC],
        );
      case 'late-picture':
        return render(
          file('late-picture.mp4'),
          [['-itsoffset', '0.52', ...picture(3)], tone(4)],
          [X264, AAC, ['-fps_mode', 'passthrough']],
        );
      case 'odd-size':
        return render(file('odd.webm'), [picture(3, `scale=${WIDTH + 1}:${HEIGHT + 1}`)], [VP9]);
      case 'rotated':
        return rotate(await this.path('closed-gop'), file('rotated.mp4'));
      case 'edit-list':
        return copy(file('edited.mp4'), ['-ss', '1.3', '-i', await this.path('open-gop')]);
      case 'one-frame':
        return render(file('one.mp4'), [picture(1)], [[...X264, '-frames:v', '1']]);
      case 'everything':
        return this.#renderEverything(file('everything.mkv'));
      case 'transport-stream':
        return copy(file('stream.ts'), ['-i', await this.path('open-gop')]);
      case 'without-times':
        return copy(file('times.avi'), ['-i', await this.path('closed-gop')]);
      case 'sixty':
        return render(file('sixty.mp4'), [picture(2, 'fps=60'), tone(2)], [X264, AAC]);
      case 'interlaced':
        // Numbered field by field in Gray code, and the header says nothing of fields.
        return render(file('interlaced.mp4'), [picture(3, FIELDS, 2 * CLIP_FPS)], [X264]);
      case 'hdr10':
        return render(file('hdr10.mkv'), [picture(2)], [HDR10]);
      case 'ten-bit':
        return render(file('ten-bit.mkv'), [picture(2)], [TEN_BIT]);
    }
  }

  /** Two audio tracks, subtitles, chapters, an attachment and tags. */
  async #renderEverything(path: string): Promise<string> {
    const srt = join(this.directory, 'words.srt');
    const chapters = join(this.directory, 'chapters.txt');
    await writeFile(
      srt,
      '1\n00:00:00,500 --> 00:00:01,500\nFirst\n\n2\n00:00:02,000 --> 00:00:03,000\nSecond\n',
    );
    await writeFile(
      chapters,
      ';FFMETADATA1\ntitle=Everything\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=2000\ntitle=One\n' +
        '[CHAPTER]\nTIMEBASE=1/1000\nSTART=2000\nEND=4000\ntitle=Two\n',
    );
    return render(
      path,
      [picture(4), tone(4), tone(4), ['-i', srt], ['-i', chapters]],
      [
        ['-map', '0:v', '-map', '1:a', '-map', '2:a', '-map', '3:s', '-map_metadata', '4'],
        [...X264, ...AAC, '-c:s', 'srt', '-metadata:s:a:1', 'language=fre'],
        ['-attach', srt, '-metadata:s:t', 'mimetype=text/plain'],
      ],
    );
  }
}

const X264 = '-c:v libx264 -preset ultrafast -bf 2 -g 25 -sc_threshold 0'.split(' ');
const X264_OPEN = [...X264, '-x264-params', 'open-gop=1:b-pyramid=normal'];
/** 27 is no multiple of the B-frames' groups: pictures shown before a keyframe come after it. */
const X265_OPEN =
  '-c:v libx265 -preset ultrafast -tag:v hvc1 -x265-params open-gop=1:keyint=27:min-keyint=27:bframes=3:scenecut=0:log-level=error'.split(
    ' ',
  );
const VP9 = '-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 25 -b:v 400k'.split(' ');
const TEN_BIT =
  '-c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -x265-params keyint=25:log-level=error'.split(
    ' ',
  );
const FIELDS = 'interlace=scan=tff:lowpass=off,setfield=prog';
const HDR10 = [
  '-vf',
  'format=yuv420p10le,setparams=range=tv:color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc',
  ...'-c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -x265-params'.split(' '),
  'keyint=25:log-level=error:hdr10=1:max-cll=1000,400:' +
    'master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)',
];
const AAC = ['-c:a', 'aac'];
const VARIABLE = [...X264, '-fps_mode', 'passthrough', '-enc_time_base', '1/90000'];
/** Every fifth frame is missing, and the rest come unevenly; one pause at a seam is long. */
const UNSTEADY =
  "select='mod(n,5)',settb=1/90000,setpts='PTS+mod(N*37,11)*60+if(gte(N,50),45000,0)'";

/** Input arguments for moving, numbered pictures; `filter` is applied after numbering. */
function picture(seconds: number, filter?: string, rate = CLIP_FPS): string[] {
  const block = WIDTH / BITS;
  const blocks = Array.from({ length: BITS }, (_, bit) => {
    // Of fields that lie in one frame, a bit that is on in every second looks like a still pattern.
    const gray = filter === FIELDS ? `+floor(n/${2 ** (bit + 1)})` : '';
    const on = `enable='eq(mod(floor(n/${2 ** bit})${gray},2),1)'`;
    return `drawbox=x=${bit * block}:y=0:w=${block}:h=${BLOCK_HEIGHT}:color=white:t=fill:${on}`;
  });
  const graph = [
    `testsrc2=s=${WIDTH}x${HEIGHT}:r=${rate}:d=${seconds}`,
    `drawbox=x=0:y=0:w=iw:h=${BLOCK_HEIGHT}:color=black:t=fill`,
    ...blocks,
    ...(filter === undefined ? [] : [filter]),
    'format=yuv420p',
  ];
  return ['-f', 'lavfi', '-i', graph.join(',')];
}

function tone(seconds: number): string[] {
  return ['-f', 'lavfi', '-i', `sine=f=440:r=48000:d=${seconds}`];
}

async function render(
  path: string,
  inputs: readonly (readonly string[])[],
  outputs: readonly (readonly string[])[],
): Promise<string> {
  await ffmpeg([...inputs.flat(), ...outputs.flat(), path]);
  return path;
}

async function copy(path: string, input: readonly string[]): Promise<string> {
  await ffmpeg([...input, '-c', 'copy', path]);
  return path;
}

/** A quarter turn counter-clockwise, said by metadata alone; how it is said depends on ffmpeg's age. */
async function rotate(from: string, path: string): Promise<string> {
  const { stdout } = await run('ffmpeg', ['-version']);
  const modern = Number(/^ffmpeg version \D*(\d+)/.exec(stdout)?.[1] ?? 0) >= 6;
  const before = modern ? ['-display_rotation', '90'] : [];
  const after = modern ? [] : ['-metadata:s:v', 'rotate=90'];
  await ffmpeg([...before, '-i', from, '-c', 'copy', ...after, path]);
  return path;
}

export async function ffmpeg(args: readonly string[]): Promise<void> {
  await run('ffmpeg', ['-v', 'error', '-nostdin', '-y', ...args]);
}

/** Numbers of the frames that a film shows, in order. `turn` undoes what was done to the picture. */
export async function frameNumbers(path: string, turn = 'null'): Promise<number[]> {
  const graph = `${turn},crop=iw:8:0:12,scale=${BITS}:1:flags=area,format=gray`;
  const { stdout } = await run(
    'ffmpeg',
    ['-v', 'error', '-noautorotate', '-i', path, '-map', '0:v:0', '-vf', graph].concat([
      '-fps_mode',
      'passthrough',
      '-f',
      'rawvideo',
      '-',
    ]),
    { encoding: 'buffer', maxBuffer: 1 << 26 },
  );
  const numbers: number[] = [];
  for (let at = 0; at < stdout.length; at += BITS) {
    let number = 0;
    for (let bit = 0; bit < BITS; bit += 1) number += stdout[at + bit]! > 127 ? 2 ** bit : 0;
    numbers.push(number);
  }
  return numbers;
}

/** The number that a Gray code stands for. */
export function fromGray(code: number): number {
  let number = code;
  for (let rest = code >> 1; rest > 0; rest >>= 1) number ^= rest;
  return number;
}

/** Presentation times of all shown frames in seconds, ascending. */
export async function frameSeconds(path: string): Promise<number[]> {
  const packets = await probeLines(path, 'v:0', 'packet=pts_time,flags');
  return packets
    .filter((line) => !line.includes('D'))
    .map((line) => Number(line.split(',')[0]))
    .sort((a, b) => a - b);
}

/** Lines of `ffprobe -of csv` for one selection of streams. */
export async function probeLines(
  path: string,
  streams: string,
  entries: string,
): Promise<string[]> {
  const { stdout } = await run(
    'ffprobe',
    ['-v', 'error', '-select_streams', streams, '-show_entries', entries, '-of', 'csv=p=0', path],
    { maxBuffer: 1 << 26 },
  );
  return stdout.split('\n').filter((line) => line !== '');
}
