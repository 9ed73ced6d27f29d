/**
 * A film's frames as models take and give them: the right way up, as RGB in the colours that the film had, and back
 * into them; in eight bits, or in sixteen where the source has more. Models know pictures as screens show them; what
 * they made is coded as the source was. Of HDR they see the coded values: PQ and HLG are curves for the eye as the
 * usual one is, so that shapes are where they would be, but no model learned how bright they are.
 */
import { ChannelOrder, type ModelManifest } from '../../../proto/gen/furrow/v1/model.ts';
import { type FrameBits, type FrameSize, layoutOf } from '../../models/model-work.ts';
import { colourTags, type EncoderSettings } from './encoder-settings.ts';
import { FilmFault } from './film-fault.ts';
import { isDeep } from './pixel-depth.ts';
import type { FilmPlan, PlanPiece } from './film-plan.ts';
import type { MediaProcess } from './media-process.ts';
import { uprightFilters } from './picture.ts';
import { pictureStream, probeMedia } from './source-facts.ts';

/** Light as cinemas project it: what lies behind is no RGB. */
const CINEMA = 'smpte428';
const HDR: ReadonlySet<string> = new Set(['smpte2084', 'arib-std-b67']);

/** What ffmpeg calls matrices, in its filters' words; of others it takes the old television's. */
const MATRICES: Readonly<Record<string, string>> = {
  bt709: 'bt709',
  fcc: 'fcc',
  bt470bg: 'bt470',
  smpte170m: 'smpte170m',
  smpte240m: 'smpte240m',
  bt2020nc: 'bt2020',
  bt2020c: 'bt2020',
};
const OTHER_MATRIX = 'bt601';
/** Of a conversion between colours: no shortcuts. */
export const EXACT_SCALING = 'flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp';

/** Throws FilmFault `invalid-input`. */
export function refuseCinema({ source }: FilmPlan): void {
  if (source.colour.transfer !== CINEMA) return;
  const what = `${source.name} is coded as cinemas project it (${CINEMA}), and models know pictures of screens`;
  throw new FilmFault('invalid-input', `${what}: make an SDR film of it first`);
}

/** PQ or HLG. */
export function isHdr({ source }: FilmPlan): boolean {
  return HDR.has(source.colour.transfer);
}

/** Of the values that a worker reads and writes. */
export function frameBits({ source }: Pick<FilmPlan, 'source'>): FrameBits {
  return isDeep(source.pixelFormat) ? 16 : 8;
}

/** As the film is shown. */
export function uprightSize({ source }: FilmPlan): FrameSize {
  const { width, height, orientation } = source;
  return isTurned(orientation) ? { width: height, height: width } : { width, height };
}

/** Filters from decoded frames to shown ones, and the last one, to what a model's worker reads. */
export function readFrames(
  plan: Pick<FilmPlan, 'source'>,
  { width, height }: FrameSize,
  manifest: ModelManifest,
): { readonly filters: readonly string[]; readonly format: string } {
  const { source } = plan;
  const filters = [...colourTags(withoutGbr(source)), ...uprightFilters(source.orientation)];
  // The size again: some films change theirs, and raw frames cannot.
  const scale = `scale=${width}:${height}:${EXACT_SCALING}`;
  const layout = layoutOf(isLuma(manifest) ? 1 : 3, frameBits(plan));
  return { filters, format: `${scale}${isLuma(manifest) ? ':out_range=pc' : ''},format=${layout}` };
}

/** Filters from what a worker writes to what the encoder takes, with the shape of pixels that the piece has. */
export async function takeFrames(
  media: MediaProcess,
  plan: FilmPlan,
  piece: PlanPiece,
  { manifest, settings }: { manifest: ModelManifest; settings: EncoderSettings },
): Promise<readonly string[]> {
  const ratio = await pixelRatio(media, plan, piece);
  const shape =
    ratio === undefined ? [] : [`setsar=${turned(ratio, plan.source.orientation).join('/')}`];
  return [...codedFilters(plan, { manifest, settings }), ...shape];
}

/** From what a worker writes to what the encoder takes: what `readFrames` undid, exactly. */
export function codedFilters(
  { source }: Pick<FilmPlan, 'source'>,
  { manifest, settings }: { manifest: ModelManifest; settings: Pick<EncoderSettings, 'filters'> },
): readonly string[] {
  const { colour } = source;
  const matrix = MATRICES[colour.space] ?? OTHER_MATRIX;
  const range = colour.range === 'pc' ? 'pc' : 'tv';
  const from = isLuma(manifest) ? `:in_range=pc:in_color_matrix=${matrix}` : '';
  const conversion = `scale=${EXACT_SCALING}${from}:out_range=${range}:out_color_matrix=${matrix}`;
  const own = settings.filters.filter((filter) => !filter.startsWith('format='));
  const format = settings.filters.filter((filter) => filter.startsWith('format='));
  return [...own, conversion, ...format, ...colourTags(withoutGbr(source))];
}

/** Width to height of one pixel; undefined where the source does not say. */
async function pixelRatio(
  media: MediaProcess,
  plan: FilmPlan,
  piece: PlanPiece,
): Promise<readonly [string, string] | undefined> {
  const facts = await probeMedia(media, piece.name);
  const stream =
    plan.mode === 'whole'
      ? facts.streams.find(({ index }) => index === plan.source.stream)
      : pictureStream(facts);
  const [, wide, high] =
    /^([1-9]\d{0,5}):([1-9]\d{0,5})$/.exec(stream?.sample_aspect_ratio ?? '') ?? [];
  return wide === undefined || high === undefined ? undefined : [wide, high];
}

function turned(
  [wide, high]: readonly [string, string],
  orientation: readonly number[],
): readonly [string, string] {
  return isTurned(orientation) ? [high, wide] : [wide, high];
}

/** A quarter of a turn, mirrored or not. */
function isTurned([a, b]: readonly number[]): boolean {
  return a === 0 && b !== 0;
}

export function isLuma({ channels }: ModelManifest): boolean {
  return channels === ChannelOrder.CHANNEL_ORDER_LUMA;
}

/** What was coded as RGB is not after this. */
export function withoutGbr(source: FilmPlan['source']): FilmPlan['source'] {
  const { colour } = source;
  return colour.space === 'gbr' ? { ...source, colour: { ...colour, space: 'unknown' } } : source;
}
