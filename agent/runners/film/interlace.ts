/**
 * Whether a film's frames hold two fields each, taken at two moments. Headers often say nothing, or are
 * wrong, so that where none says so a few hundred frames are looked at.
 */
import type { FilmPlan } from './film-plan.ts';
import type { MediaProcess } from './media-process.ts';
import type { MediaStream } from './source-facts.ts';

type Parity = NonNullable<FilmPlan['deinterlace']>['parity'];

/** Looks are taken where films have no titles and no fades. */
const LOOKS_AT = [0.1, 0.4, 0.75];
const FRAMES_A_LOOK = 100;

/** Moving patterns look like fields now and then, in both orders alike; fields do nearly always, in one. */
const MIN_SHARE = 0.8;
const MAX_OTHER_SHARE = 0.05;

/** Which field comes first; undefined where frames are whole pictures. `seconds`: of the film. */
export async function findFields(
  media: MediaProcess,
  name: string,
  stream: MediaStream,
  seconds: number,
): Promise<Parity | undefined> {
  return parityOf(stream.field_order) ?? judge(await look(media, name, stream.index, seconds));
}

/** As ffprobe names the order: how the fields lie, then which is shown first. */
export function parityOf(fieldOrder: string | undefined): Parity | undefined {
  if (fieldOrder === 'tt' || fieldOrder === 'bt') return 'tff';
  if (fieldOrder === 'bb' || fieldOrder === 'tb') return 'bff';
  return undefined;
}

/** How many frames looked like what. */
interface Looks {
  readonly tff: number;
  readonly bff: number;
  readonly all: number;
}

export function judge({ tff, bff, all }: Looks): Parity | undefined {
  const [more, less] = [Math.max(tff, bff), Math.min(tff, bff)];
  if (all === 0 || more < all * MIN_SHARE || less > all * MAX_OTHER_SHARE) return undefined;
  return tff > bff ? 'tff' : 'bff';
}

async function look(
  media: MediaProcess,
  name: string,
  stream: number,
  seconds: number,
): Promise<Looks> {
  const counts = { tff: 0, bff: 0, all: 0 };
  for (const share of LOOKS_AT) {
    await media.ffmpegLines(
      [{ name, options: ['-ss', (seconds * share).toFixed(3)] }],
      [
        ['-map', `0:${stream}`, '-frames:v', String(FRAMES_A_LOOK)],
        ['-vf', 'idet,metadata=mode=print:key=lavfi.idet.multiple.current_frame:file=-'],
        ['-f', 'null'],
      ].flat(),
      (line) => {
        const found = /^lavfi\.idet\.multiple\.current_frame=(\w+)/.exec(line)?.[1];
        if (found === undefined) return;
        counts.all += 1;
        if (found === 'tff' || found === 'bff') counts[found] += 1;
      },
      { look: true },
    );
  }
  return counts;
}
