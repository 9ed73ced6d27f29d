/**
 * Where a film begins when only some of its tracks are read. In MPEG streams, whose clocks may jump, ffmpeg takes
 * the first of the tracks that are used for the film's start: sound that begins late, read alone, would begin at 0,
 * and be early in the film. So the track that is first is read as well, and thrown away.
 */
import type { MediaOutput } from './ffmpeg-argv.ts';
import type { MediaFacts, MediaStream } from './source-facts.ts';

/** Demuxers of ffmpeg's that say that their clocks may jump. */
const JUMPING_CLOCKS: ReadonlySet<string> = new Set(['mpegts', 'mpeg', 'ogg', 'nut']);

/** Those of them whose clocks wrap, so that what is read alone begins at 0. */
const WRAPPING_CLOCKS: ReadonlySet<string> = new Set(['mpegts', 'mpeg']);

/** The output to add where streams `used` of the source, which is this input, are read; empty where none is needed. */
export function startAnchor(facts: MediaFacts, used: readonly number[], input = 0): MediaOutput[] {
  if (!JUMPING_CLOCKS.has(facts.format.format_name ?? '')) return [];
  const starts = facts.streams
    .filter(({ codec_type }) => codec_type === 'video' || codec_type === 'audio')
    .map(({ index, start_time }) => ({ index, seconds: Number(start_time ?? Number.NaN) }))
    .filter(({ seconds }) => Number.isFinite(seconds));
  const [first] = starts.toSorted((a, b) => a.seconds - b.seconds);
  if (first === undefined || used.includes(first.index)) return [];
  return [
    { name: 'null', options: ['-map', `${input}:${first.index}`, '-c', 'copy', '-f', 'null'] },
  ];
}

/** How much later than the film a stream begins, of which nothing is seen where it is read alone; else 0. */
export function hiddenDelaySeconds(facts: MediaFacts, { start_time }: MediaStream): number {
  const delay = Number(start_time) - Number(facts.format.start_time);
  const isHidden = WRAPPING_CLOCKS.has(facts.format.format_name ?? '') && Number.isFinite(delay);
  return isHidden ? Math.max(0, delay) : 0;
}
