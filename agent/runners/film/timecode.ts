/** Timecodes: the number that a camera writes to a film's first frame, by which editors find frames again. */
import type { Container } from './container.ts';
import { filmFrameRate } from './film-frames.ts';
import type { FilmPlan } from './film-plan.ts';
import type { Check } from '../../../kit/proof-report.ts';
import type { MediaFacts } from './source-facts.ts';

const TIMECODE = /^\d\d:[0-5]\d:[0-5]\d[:;.]\d\d$/;

/** Of a film that has none and must have one. */
const FROM_ZERO = '00:00:00:00';

/** Frames in a second's count; other rates have no timecode that programs agree on. */
const RATES = [24, 25, 30, 48, 50, 60, 100, 120, 150];

/** As the file says it, of its streams or of all; undefined when it says none. */
export function timecodeOf({ streams, format }: MediaFacts): string | undefined {
  const said = [...streams.map(({ tags }) => tags?.['timecode']), format.tags?.['timecode']];
  return said.find((timecode) => timecode !== undefined && TIMECODE.test(timecode));
}

/** What the film made of a source is to begin with; undefined for none. `made`: also where the source has none. */
export function wantedTimecode(plan: FilmPlan, made: boolean): string | undefined {
  if (!hasTimecodeRate(filmFrameRate(plan))) return undefined;
  return plan.source.timecode ?? (made ? FROM_ZERO : undefined);
}

/** `30000/1001` counts as 30. */
export function hasTimecodeRate(frameRate: string): boolean {
  const [frames = 0, seconds = 1] = frameRate.split('/').map(Number);
  const rate = frames / seconds;
  return RATES.some((known) => rate === known || Math.abs(rate - (known * 1000) / 1001) < 0.005);
}

/** Options for the film that is copied together from its chunks. */
export function timecodeOptions(
  plan: FilmPlan,
  container: Container,
  timecode: string | undefined,
): readonly string[] {
  // One that was carried along with the tags, and that this muxer would refuse.
  if (timecode === undefined)
    return plan.source.timecode === undefined ? [] : ['-metadata', 'timecode='];
  const tag = ['-metadata', `timecode=${timecode}`];
  // The count of frames in a second is the header's; packets keep their times.
  const rate = ['-r:v', filmFrameRate(plan)];
  switch (container) {
    case 'mov':
      return [...tag, ...rate];
    case 'mp4':
      return [...tag, ...rate, '-write_tmcd', '1'];
    case 'mkv':
    case 'webm':
      return tag;
  }
}

export function timecodeCheck(film: MediaFacts, wanted: string): Check {
  const found = timecodeOf(film) ?? 'none';
  return {
    check: 'timecode of the first frame',
    expected: wanted,
    found,
    finding: found === wanted ? undefined : `its timecode is ${found}, not ${wanted}`,
  };
}
