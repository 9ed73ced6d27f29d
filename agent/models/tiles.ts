/**
 * How a picture goes through a model in tiles that are, together, bit by bit what the whole would have
 * become: each tile has the model's halo around what is kept of it, except at the picture's own edges, where
 * the model must see the edge. All tiles have the same size, so that a runtime plans its memory once. Pure.
 */
import type { FrameSize } from './model-work.ts';

export interface TileRules {
  /** Pixels around a tile that change what becomes of it. */
  readonly halo: number;
  /** Sides and places of tiles are multiples of so many pixels. */
  readonly multiple: number;
  /** Undefined where the model takes any size. */
  readonly fixed?: FrameSize | undefined;
}

/** A stretch of one axis: the tile's place, and what of the picture is taken from it. */
interface Span {
  readonly at: number;
  readonly keepFrom: number;
  readonly keepUntil: number;
}

export interface Tiling {
  readonly tile: FrameSize;
  /** The picture with what is added to its right and bottom, so that it is a multiple. */
  readonly padded: FrameSize;
  readonly columns: readonly Span[];
  readonly rows: readonly Span[];
}

/** No tile keeps less on a side: beside it there would be nothing but halo. */
const LEAST_KEPT = 16;

/** As few tiles as the room (pixels at once) allows. Undefined when not even the smallest has room. */
export function tilingOf(
  picture: FrameSize,
  rules: TileRules,
  roomPixels: number,
): Tiling | undefined {
  const { fixed } = rules;
  const padded = {
    width: Math.max(roundUp(picture.width, rules.multiple), fixed?.width ?? 0),
    height: Math.max(roundUp(picture.height, rules.multiple), fixed?.height ?? 0),
  };
  if (fixed !== undefined) {
    return fixed.width * fixed.height > roomPixels ? undefined : tiled(padded, fixed, rules);
  }
  const [wide, high] = [sidesOf(padded.width, rules), sidesOf(padded.height, rules)];
  let best: { readonly tile: FrameSize; readonly cost: number } | undefined;
  for (const width of wide) {
    // Sides fall: the first that has room is the highest.
    const height = high.find((side) => side * width <= roomPixels);
    if (height === undefined) continue;
    const tile = { width, height };
    const tiling = tiled(padded, tile, rules);
    const cost = tiling.columns.length * tiling.rows.length * width * height;
    if (best === undefined || cost < best.cost) best = { tile, cost };
  }
  return best === undefined ? undefined : tiled(padded, best.tile, rules);
}

/** Half the room of these tiles. */
export function smallerRoom({ tile }: Tiling): number {
  return Math.floor((tile.width * tile.height) / 2);
}

/** Lengths that a tile may have along an axis, longest first: for one tile, two, three … */
function sidesOf(length: number, rules: TileRules): readonly number[] {
  const halo = haloOf(rules);
  const sides: number[] = [length];
  for (let parts = 2; ; parts += 1) {
    const kept = Math.ceil((length - 2 * halo) / parts);
    if (kept < LEAST_KEPT) break;
    const side = roundUp(kept, rules.multiple) + 2 * halo;
    if (side < sides.at(-1)!) sides.push(side);
  }
  return sides;
}

function tiled(padded: FrameSize, tile: FrameSize, rules: TileRules): Tiling {
  return {
    tile,
    padded,
    columns: spansOf(padded.width, tile.width, rules),
    rows: spansOf(padded.height, tile.height, rules),
  };
}

/** The last one is moved back, so that it ends where the picture does. */
function spansOf(length: number, side: number, rules: TileRules): readonly Span[] {
  const halo = haloOf(rules);
  const step = side - 2 * halo;
  const spans: Span[] = [];
  let keepFrom = 0;
  for (let at = 0; ; at += step) {
    const isLast = at + side >= length;
    const place = isLast ? length - side : at;
    const keepUntil = isLast ? length : place + side - halo;
    spans.push({ at: place, keepFrom, keepUntil });
    if (isLast) return spans;
    keepFrom = keepUntil;
  }
}

/** In whole multiples, so that tiles lie where the model's own grid lies. */
function haloOf({ halo, multiple }: TileRules): number {
  return roundUp(halo, multiple);
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
