/** Loudness by EBU R128, measured on decoded samples, and the filters that bring sound to a wanted one. */
import type { Loudness } from '../../../proto/gen/furrow/v1/task_film.ts';
import { processFault } from './film-fault.ts';
import type { FilmAttempt } from './film-runner.ts';
import type { MediaInput } from './ffmpeg-argv.ts';
import { takeLines } from './list-file.ts';

export interface MeasuredLoudness {
  /** Integrated, in LUFS; undefined for silence, or sound too short to be heard as loud. */
  readonly lufs: number | undefined;
  /** dBTP; -Infinity for silence. */
  readonly truePeakDbtp: number;
}

/** Louder or quieter than asked for by no more than this. */
export const LOUDNESS_TOLERANCE_LU = 0.5;

/** Below this nothing is heard: R128's own gate. */
const GATE_LUFS = -70;

/** What a peak may be above the wanted one: what resampling and the meter's last digit add. */
const LOSSLESS_MARGIN_DB = 0.3;
/** What a coder adds to peaks. */
const LOSSY_MARGIN_DB = 1;

const INTEGRATED = 'loudness.txt';
const PEAKS = 'peaks.txt';

/** How sound is changed: by a gain alone, or with its highest peaks taken down as well. */
export interface Levelling {
  readonly gainDb: number;
  /** Peaks above this are taken down; absent where none is. */
  readonly limitDb?: number | undefined;
}

/** `stream`: such as `0:1`. `filters` come before the meter. */
export async function measureLoudness(
  { media, work, context }: FilmAttempt<unknown>,
  input: MediaInput,
  stream: string,
  filters: readonly string[],
  limitMs: number,
): Promise<MeasuredLoudness> {
  const meter = [
    'ebur128=peak=true:metadata=1',
    `ametadata=mode=print:key=lavfi.r128.I:file=${INTEGRATED}`,
    `ametadata=mode=print:key=lavfi.r128.true_peak:file=${PEAKS}`,
  ];
  const graph = `[${stream}]${[...filters, ...meter].join(',')}[heard]`;
  const run = await media.ffmpeg(
    [input],
    [{ name: 'null', options: ['-filter_complex', graph, '-map', '[heard]', '-f', 'null'] }],
    ({ outTimeUs }) => context.progress(0, Math.max(0, outTimeUs), 'measuring the loudness'),
    { limitMs },
  );
  if (!run.ok) throw processFault(run, `the loudness of ${input.name}`);
  const lufs = await lastValue(work.directory, INTEGRATED);
  const peak = await lastValue(work.directory, PEAKS);
  return {
    lufs: lufs === undefined || lufs <= GATE_LUFS ? undefined : lufs,
    truePeakDbtp: peak === undefined || peak <= 0 ? -Infinity : 20 * Math.log10(peak),
  };
}

/** The meter's word after the last sample. */
async function lastValue(directory: string, name: string): Promise<number | undefined> {
  let last: number | undefined;
  await takeLines(directory, name, (line) => {
    const value = Number(/^lavfi\.r128\.\w+=(-?[\d.]+)$/.exec(line)?.[1]);
    if (Number.isFinite(value)) last = value;
  });
  return last;
}

/** A gain alone where its peaks stay below the wanted one. */
export function firstLevelling(
  { lufs, truePeakDbtp }: MeasuredLoudness,
  { targetLufs, truePeakDbtp: wanted }: Loudness,
  isLossless: boolean,
): Levelling {
  if (lufs === undefined) return { gainDb: 0 };
  const gainDb = targetLufs - lufs;
  const limitDb = wanted - (isLossless ? LOSSLESS_MARGIN_DB : LOSSY_MARGIN_DB);
  return truePeakDbtp + gainDb <= limitDb ? { gainDb } : { gainDb, limitDb };
}

/** `rate`: samples a second after it. Peaks between samples are seen at four times the usual rate. */
export function levellingFilters({ gainDb, limitDb }: Levelling, rate: number): readonly string[] {
  const gain = `volume=${gainDb.toFixed(3)}dB:precision=double`;
  if (limitDb === undefined) return [gain];
  const limit = 10 ** (limitDb / 20);
  return [
    gain,
    'aresample=192000',
    `alimiter=limit=${limit.toFixed(6)}:attack=5:release=50:level=disabled`,
    `aresample=${rate}`,
  ];
}

/** Once more, where taking down the peaks took from the loudness; undefined when it is near enough. */
export function nextLevelling(
  last: Levelling,
  heard: MeasuredLoudness,
  { targetLufs }: Loudness,
): Levelling | undefined {
  if (last.limitDb === undefined || heard.lufs === undefined) return undefined;
  const missing = targetLufs - heard.lufs;
  return Math.abs(missing) <= LOUDNESS_TOLERANCE_LU / 3
    ? undefined
    : { ...last, gainDb: last.gainDb + missing };
}
