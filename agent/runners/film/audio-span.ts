/**
 * When the audio of a file really begins and ends: measured on decoded samples, since containers and
 * encoders hide their lead-in in different ways.
 */
import type { Check } from '../../../kit/proof-report.ts';

/** Options for an output that prints one line for each decoded audio frame of every track. */
export const AUDIO_FRAMES_OPTIONS = ['-map', '0:a', '-c:a', 'pcm_s16le', '-f', 'framecrc'];

/** One track, in seconds from the film's first picture. */
export interface AudioSpan {
  readonly startSeconds: number;
  readonly endSeconds: number;
  /** Longest run of samples that the codec handles at once. */
  readonly codecFrameSeconds: number;
}

/** Takes framecrc's lines; `spans` answers what was seen so far. */
export class AudioSpanReader {
  readonly #bases = new Map<number, number>();
  readonly #tracks = new Map<number, { start: number; end: number; longest: number }>();
  /** Outputs number their own streams from 0: the first audio line's number is track 0. */
  add(line: string): void {
    const base = /^#tb (\d+): (\d+)\/(\d+)/.exec(line);
    if (base !== null) {
      this.#bases.set(Number(base[1]), Number(base[2]) / Number(base[3]));
      return;
    }
    const fields = line.split(',');
    if (line.startsWith('#') || fields.length < 5) return;
    const track = Number(fields[0]);
    const tick = this.#bases.get(track) ?? 0;
    const start = Number(fields[2]) * tick;
    const length = Number(fields[3]) * tick;
    const seen = this.#tracks.get(track) ?? { start, end: start, longest: 0 };
    seen.start = Math.min(seen.start, start);
    seen.end = Math.max(seen.end, start + length);
    seen.longest = Math.max(seen.longest, length);
    this.#tracks.set(track, seen);
  }

  /** Spans by track; `pictureSeconds` is the first picture's time on the lines' own clock. */
  spans(pictureSeconds: number): AudioSpan[] {
    return [...this.#tracks.entries()]
      .sort(([a], [b]) => a - b)
      .map(([, seen]) => ({
        startSeconds: seen.start - pictureSeconds,
        endSeconds: seen.end - pictureSeconds,
        codecFrameSeconds: seen.longest,
      }));
  }
}

/**
 * Each track begins within one picture of where it did in the source, or earlier by the encoder's
 * lead-in where the container cannot hide it; and ends within one picture and one codec frame, since
 * encoders fill up their last frame.
 */
export function audioChecks(
  source: readonly AudioSpan[],
  film: readonly AudioSpan[],
  pictureSeconds: number,
  leadSeconds: number,
): Check[] {
  const tracks: Check = {
    check: 'audio tracks',
    expected: source.length,
    found: film.length,
    finding:
      source.length === film.length
        ? undefined
        : `it has ${film.length} audio tracks, the source ${source.length}`,
  };
  return [
    tracks,
    ...source.flatMap((span, i) => trackChecks(span, film[i], i, pictureSeconds, leadSeconds)),
  ];
}

function trackChecks(
  source: AudioSpan,
  film: AudioSpan | undefined,
  track: number,
  pictureSeconds: number,
  leadSeconds: number,
): Check[] {
  if (film === undefined) return [];
  const codecFrame = Math.max(source.codecFrameSeconds, film.codecFrameSeconds);
  return [
    spanCheck(`start of audio ${track}`, source.startSeconds, film.startSeconds, {
      early: pictureSeconds + leadSeconds,
      late: pictureSeconds,
    }),
    spanCheck(`end of audio ${track}`, source.endSeconds, film.endSeconds, {
      early: pictureSeconds + codecFrame,
      late: pictureSeconds + codecFrame,
    }),
  ];
}

function spanCheck(
  what: string,
  expected: number,
  found: number,
  allowed: { readonly early: number; readonly late: number },
): Check {
  const off = found - expected;
  return {
    check: `${what} (seconds from the first picture)`,
    expected: Number(expected.toFixed(6)),
    found: Number(found.toFixed(6)),
    finding:
      off >= -allowed.early - 1e-3 && off <= allowed.late + 1e-3
        ? undefined
        : `the ${what} is ${Math.round(Math.abs(off) * 1000)} ms ${off > 0 ? 'late' : 'early'}`,
  };
}
