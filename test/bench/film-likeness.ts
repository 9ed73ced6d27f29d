/** What a film is worth beside its source: how like it is, and whether it has exactly the source's frames. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

const MOST_OUTPUT_BYTES = 64 * 1024 ** 2;

/** Structural similarity of all frames on average, 1 for equal ones. */
export async function ssimOf(film: string, source: string): Promise<number> {
  const graph = '[0:v]settb=AVTB,setpts=N[a];[1:v]settb=AVTB,setpts=N[b];[a][b]ssim';
  const inputs = ['-i', film, '-i', source];
  const argv = ['-nostdin', '-hide_banner', ...inputs, '-filter_complex', graph, '-f', 'null', '-'];
  const { stderr } = await run('ffmpeg', argv, { maxBuffer: MOST_OUTPUT_BYTES });
  const found = /SSIM .*All:([\d.]+)/.exec(stderr)?.[1];
  if (found === undefined) throw new Error(`ffmpeg gave no SSIM of ${film}`);
  return Number(found);
}

/** Throws unless the film shows as many frames as its source, each at the same time. */
export async function refuseOtherFrames(film: string, source: string): Promise<void> {
  const [found, wanted] = [await timesOf(film), await timesOf(source)];
  const off = wanted.findIndex((time, i) => Math.abs(time - (found[i] ?? Infinity)) > 0.000_002);
  if (found.length === wanted.length && off < 0) return;
  const what = off < 0 ? `${found.length} frames, not ${wanted.length}` : `frame ${off} elsewhere`;
  throw new Error(`${film} has ${what}`);
}

/** Of frames, in seconds after the first, ascending. */
async function timesOf(path: string): Promise<number[]> {
  const asked = ['-select_streams', 'v:0', '-show_entries', 'packet=pts_time', '-of', 'csv=p=0'];
  const { stdout } = await run('ffprobe', ['-v', 'error', ...asked, path], {
    maxBuffer: MOST_OUTPUT_BYTES,
  });
  const times = stdout.trim().split('\n').map(Number.parseFloat);
  const sorted = times.toSorted((a, b) => a - b);
  return sorted.map((time) => time - sorted[0]!);
}
