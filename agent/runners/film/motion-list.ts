/** vid.stab's lists of how small fields move from frame to frame, as text: read, joined, never believed. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunnerContext } from '../runner.ts';
import { FilmFault } from './film-fault.ts';

/** A list's own words, and what it says of each frame without the frame's number. */
export interface MotionList {
  readonly header: readonly string[];
  readonly frames: readonly string[];
}

/**
 * The filter that writes its list to `result`. Newer ones write bytes of their own unless told not to, older ones
 * do not know the word for it.
 */
export async function motionFilter(
  context: RunnerContext,
  directory: string,
  result: string,
  shakiness: number,
): Promise<string> {
  const degree = Math.min(10, Math.max(1, shakiness || 5));
  const detect = `vidstabdetect=result=${result}:shakiness=${degree}:accuracy=15`;
  let knowsText = false;
  await context.run({
    program: 'ffmpeg',
    args: ['-hide_banner', '-h', 'filter=vidstabdetect'],
    cwd: directory,
    quiet: true,
    onStdoutLine: (line) => {
      knowsText ||= /^\s*fileformat\s/.test(line);
    },
  });
  return knowsText ? `${detect}:fileformat=ascii` : detect;
}

/** Throws FilmFault `bad-output` where it is none that we can read. */
export async function readMotion(directory: string, name: string): Promise<MotionList> {
  const text = await readFile(join(directory, name), 'utf8').catch(() => {
    throw new FilmFault('bad-output', `${name} is missing: no motion was measured`);
  });
  const list = parseMotionList(text);
  if (list !== undefined) return list;
  throw new FilmFault('bad-output', `${name} is no list of motions that is known`);
}

export function parseMotionList(text: string): MotionList | undefined {
  const lines = text.split('\n').filter((line) => line !== '');
  if (!/^VID\.STAB \d+$/.test(lines[0] ?? '')) return undefined;
  const header = lines.filter((line) => !line.startsWith('Frame '));
  const frames: string[] = [];
  for (const line of lines) {
    if (!line.startsWith('Frame ')) continue;
    const rest = /^Frame \d+ (\(List \d+ \[[LM(),\d .e+-]*\]\))$/.exec(line)?.[1];
    if (rest === undefined) return undefined;
    frames.push(rest);
  }
  return { header, frames };
}

/** The list of the whole: pieces in order, with what was measured between each and the next. */
export function joinMotions(pieces: readonly MotionList[], between: readonly MotionList[]): string {
  const frames = pieces.flatMap((piece, i) => {
    // The first frame of a piece had none before it; the second of two frames around a border had.
    const first = i === 0 ? piece.frames.slice(0, 1) : between[i - 1]!.frames.slice(1, 2);
    return [...first, ...piece.frames.slice(1)];
  });
  const numbered = frames.map((frame, i) => `Frame ${i + 1} ${frame}`);
  return `${[...(pieces[0]?.header ?? []), ...numbered].join('\n')}\n`;
}
