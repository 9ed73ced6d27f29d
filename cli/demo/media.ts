/** ffmpeg and ffprobe on the user's side of the demo: the clip it starts with, and the frames it ends with. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { z } from 'zod';
import { inputFence, MEMORY_FENCE } from '../../kit/film-fence.ts';
import { FurrowError } from '../../kit/furrow-error.ts';

const run = promisify(execFile);

export const CLIP_SECONDS = 30;
const CLIP_RATE = 30;
/** A keyframe every 2 s, so that the clip can be cut into fifteen chunks. */
const CLIP_GOP = 60;
/** A header is read within a second. */
const LOOK_LIMIT_MS = 60_000;

/**
 * A clip with motion, noise, a tone, and the time and number of every frame burnt in: testsrc2 draws
 * them with letters of its own, so that no font is needed.
 */
export async function renderClip(path: string, signal: AbortSignal): Promise<void> {
  const picture = `testsrc2=size=640x360:rate=${CLIP_RATE}:duration=${CLIP_SECONDS}`;
  const sound = `sine=frequency=440:beep_factor=4:sample_rate=48000:duration=${CLIP_SECONDS}`;
  const video = ['-c:v', 'libx264', '-preset', 'ultrafast', '-crf', '23', '-g', String(CLIP_GOP)];
  const inputs = ['-f', 'lavfi', '-i', picture, '-f', 'lavfi', '-i', sound];
  const filter = ['-vf', 'noise=alls=3:allf=t', '-pix_fmt', 'yuv420p'];
  await runTool('ffmpeg', [...inputs, ...filter, ...video, '-c:a', 'aac', '-y', path], signal);
}

const probeSchema = z.object({
  streams: z.array(z.unknown()),
  format: z.object({ duration: z.coerce.number().optional() }).optional(),
});

/** Length of a film in milliseconds, 0 when the file does not say. FurrowError: invalid NOT_A_VIDEO. */
export async function filmLengthMs(path: string, signal: AbortSignal): Promise<number> {
  const shown = JSON.stringify(path).slice(1, -1);
  const wanted = ['-show_entries', 'stream=index:format=duration', '-of', 'json'];
  const late = AbortSignal.timeout(LOOK_LIMIT_MS);
  const output = await probe(path, wanted, AbortSignal.any([signal, late])).catch(
    (error: unknown) => {
      signal.throwIfAborted();
      if (late.aborted) {
        const message = `'${shown}' takes longer than ${LOOK_LIMIT_MS / 1000} s to look into`;
        throw new FurrowError('invalid', 'NOT_A_VIDEO', message, { cause: error });
      }
      if (!(error instanceof FurrowError) || error.reason !== 'TOOL_FAILED') throw error;
      const message = `'${shown}' is not a video that ffmpeg can read`;
      throw new FurrowError('invalid', 'NOT_A_VIDEO', message, { cause: error });
    },
  );
  const { streams, format } = probeSchema.parse(JSON.parse(output));
  if (streams.length === 0) {
    throw new FurrowError('invalid', 'NOT_A_VIDEO', `'${shown}' has no picture`);
  }
  return Math.round((format?.duration ?? 0) * 1000);
}

/** Frames that a player would show: the whole film is decoded. */
export async function countFrames(path: string, signal: AbortSignal): Promise<number> {
  const wanted = ['-count_frames', '-show_entries', 'stream=nb_read_frames', '-of', 'csv=p=0'];
  return Number.parseInt(await probe(path, wanted, signal), 10);
}

function probe(path: string, wanted: readonly string[], signal: AbortSignal): Promise<string> {
  // A film may be a list of other addresses in disguise: only this file is read.
  const fence = [...MEMORY_FENCE, ...inputFence()];
  return runTool(
    'ffprobe',
    [...fence, '-select_streams', 'v:0', ...wanted, `file:${path}`],
    signal,
  );
}

/** FurrowError: failed-precondition TOOL_MISSING; internal TOOL_FAILED; the signal's reason. */
async function runTool(
  program: 'ffmpeg' | 'ffprobe',
  args: readonly string[],
  signal: AbortSignal,
): Promise<string> {
  try {
    const quiet = ['-hide_banner', '-loglevel', 'error'];
    const { stdout } = await run(program, [...quiet, ...args], { signal, killSignal: 'SIGKILL' });
    return stdout;
  } catch (error) {
    signal.throwIfAborted();
    const { code, stderr = '' } = error as { code?: unknown; stderr?: string };
    if (code === 'ENOENT') {
      const message = `${program} is not on PATH: install ffmpeg, or let npm run setup do it`;
      throw new FurrowError('failed-precondition', 'TOOL_MISSING', message, { cause: error });
    }
    const said = stderr.trim().split('\n').at(-1) ?? '';
    throw new FurrowError('internal', 'TOOL_FAILED', `${program} failed: ${said}`, {
      cause: error,
    });
  }
}
