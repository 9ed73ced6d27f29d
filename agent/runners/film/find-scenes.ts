/**
 * Where a source's scenes change, by decoding it once at a small size. Costs a few percent of encoding it, which
 * is why it is done only where somebody asks for pieces that begin with scenes.
 */
import { processFault } from './film-fault.ts';
import { takeLines } from './list-file.ts';
import { decodeLimitMs } from './media-limits.ts';
import type { MediaProcess } from './media-process.ts';
import type { CutSource } from './piece-cut.ts';

/** Of 1, as ffmpeg measures a change; its own documents call 0.08 to 0.14 good. */
const CHANGE = 0.1;
const SMALL_WIDTH = 320;

const SCENE_LIST = 'packets-scenes.txt';

/**
 * Indices of the frames, out of `times`, with which another scene begins. `onFrames` is called with how many
 * were looked at. Throws FilmFault.
 */
export async function findScenes(
  media: MediaProcess,
  directory: string,
  source: CutSource & { readonly pixels: number },
  times: readonly number[],
  onFrames: (frames: number) => void,
): Promise<number[]> {
  const { name, stream, timeBase, pixels } = source;
  const run = await media.ffmpeg(
    // Decoded times as in the index; and edges may stay as blocky as they are coded.
    [{ name, options: ['-copyts', '-noautorotate', '-skip_loop_filter', 'all'] }],
    [
      {
        name: { file: SCENE_LIST },
        options: [
          ['-map', `0:${stream}`, '-fps_mode', 'passthrough', '-f', 'framecrc'],
          ['-vf', `scale=${SMALL_WIDTH}:-2:flags=fast_bilinear,select='gt(scene,${CHANGE})'`],
          ['-enc_time_base', `${timeBase.num}/${timeBase.den}`],
        ].flat(),
      },
      // Of all frames, so that there is progress where no scene changes.
      { name: 'null', options: ['-map', `0:${stream}`, '-c', 'copy', '-f', 'null'] },
    ],
    ({ frame }) => onFrames(frame),
    { limitMs: decodeLimitMs(source.packets.length, pixels) },
  );
  if (!run.ok) throw processFault(run, `looking for scenes in ${name}`);
  const indices = new Map(times.map((time, index) => [time, index]));
  const scenes: number[] = [];
  await takeLines(directory, SCENE_LIST, (line) => {
    // `0, 512, 512, 512, 384, 0x…`: the third is the time.
    const frame = line.startsWith('#') ? undefined : indices.get(Number(line.split(',')[2]));
    if (frame !== undefined && frame > 0) scenes.push(frame);
  });
  return scenes.sort((a, b) => a - b);
}
