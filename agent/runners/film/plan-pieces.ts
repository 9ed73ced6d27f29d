/**
 * Where a film is cut so that all agents that work on it end at about the same time: several ways to cut
 * are tried on agents that are simulated, and the best is taken. Pure: a film's frames in, starts out.
 *
 * Pieces are of even work, or get shorter toward the end. The first is best where agents are alike, the second
 * where one is slower than the others, or busy. Which pieces come first is not said here: the coordinator hands
 * out those of the most bytes before the others.
 */

/** What is known of a film's frames, in the order in which they are shown. */
export interface FilmToCut {
  /** What each frame costs to encode, 1 on average. */
  readonly work: Float64Array;
  /** Frames from which a decoder can start, ascending. */
  readonly keyframes: readonly number[];
  /** Frames at which a new scene begins, ascending: an encoder spends a keyframe there in any case. */
  readonly scenes: readonly number[];
}

export interface PieceLimits {
  /** Units that run at once. */
  readonly unitsAtOnce: number;
  readonly shortestFrames: number;
  /** At least twice the shortest. */
  readonly longestFrames: number;
  /** What a piece costs beside its frames, in frames. */
  readonly overheadFrames: number;
}

/** How frames before a piece's first, which are only decoded, compare with those that are encoded. */
const LEAD_COST = 0.05;
/** Cutting a piece by itself, as part of what a piece costs beside its frames. */
const CUT_COST = 0.3;
/** The slowest of agents that are unlike, against the fastest. */
const SLOWEST = 0.7;
/** A plan of more pieces must be better by so much. */
const WORTHWHILE = 0.995;
/** A piece is somewhat longer than the longest, if it then ends well. */
const OVERLONG = 1.25;
/** As part of a piece's length. */
const NEAR = 0.15;
const FAR = 0.5;

/** How a piece's end gives way to a better frame than the one that was wanted. */
interface Snap {
  /** As part of the piece's length. */
  readonly tolerance: number;
  /** Else at any frame, which costs decoding from the keyframe before it. */
  readonly onlyKeyframes: boolean;
}

const BY_SCENE: Snap = { tolerance: FAR, onlyKeyframes: false };

const BY_TIME: readonly Snap[] = [
  { tolerance: FAR, onlyKeyframes: true },
  BY_SCENE,
  { tolerance: NEAR, onlyKeyframes: false },
];

/** Of work that is left, how much the next piece shall have. */
type Sizing = (left: number) => number;

/**
 * Frames that pieces begin with, ascending; the first is 0. `byScene`: with a scene wherever one is near, though
 * decoding from the keyframe before it costs something.
 */
export function planPieces(film: FilmToCut, limits: PieceLimits, byScene = false): number[] {
  const known = withSums(film);
  let best: { readonly starts: number[]; readonly cost: number } | undefined;
  for (const sizing of sizings(known.total, limits)) {
    for (const snap of byScene ? [BY_SCENE] : BY_TIME) {
      const starts = cut(known, limits, sizing, snap);
      const cost = costOf(known, limits, starts);
      const isFewer = best !== undefined && starts.length <= best.starts.length;
      if (best === undefined || cost < best.cost * (isFewer ? 1 : WORTHWHILE)) {
        best = { starts, cost };
      }
    }
  }
  return best?.starts ?? [0];
}

/** Frames that pieces of about so many frames begin with: nobody says for how many agents. */
export function piecesOfLength(film: FilmToCut, frames: number): number[] {
  const wanted = Math.max(1, frames);
  const shortestFrames = Math.max(1, Math.ceil(wanted / 2));
  const limits = {
    unitsAtOnce: 1,
    shortestFrames,
    longestFrames: Math.max(2 * shortestFrames, Math.ceil(wanted * 1.5)),
    overheadFrames: 0,
  };
  const evenly = withSums({ ...film, work: new Float64Array(film.work.length).fill(1) });
  return cut(evenly, limits, () => wanted, BY_SCENE);
}

interface KnownFilm extends FilmToCut {
  readonly frames: number;
  readonly total: number;
  /** Work of all frames before this one. */
  readonly before: Float64Array;
}

function withSums(film: FilmToCut): KnownFilm {
  const frames = film.work.length;
  const before = new Float64Array(frames + 1);
  film.work.forEach((work, i) => (before[i + 1] = before[i]! + work));
  return { ...film, frames, total: before[frames]!, before };
}

/** Those of the fewest pieces first. */
function sizings(total: number, { unitsAtOnce, longestFrames }: PieceLimits): Sizing[] {
  const rounds = Math.max(1, Math.ceil(total / (unitsAtOnce * longestFrames)));
  const even = [0, 1, 2, 3].map((more) => total / (unitsAtOnce * (rounds + more)));
  return [
    ...even.map((size) => () => size),
    ...[1.5, 2, 3].map((share) => (left: number) => left / (unitsAtOnce * share)),
  ];
}

function cut(film: KnownFilm, limits: PieceLimits, sizing: Sizing, snap: Snap): number[] {
  const { frames, before, total } = film;
  const { shortestFrames, longestFrames } = limits;
  const most = Math.floor(longestFrames * OVERLONG);
  const starts = [0];
  for (let at = 0; ;) {
    const ends = firstAtLeast(before, before[at]! + sizing(total - before[at]!));
    const wanted = Math.min(Math.max(ends, at + shortestFrames), at + longestFrames);
    const room = {
      from: at + shortestFrames,
      // A piece that is too long costs less than one that starts anywhere.
      until: Math.min(frames - shortestFrames, at + most * (snap.onlyKeyframes ? 2 : 1)),
    };
    if (room.until < room.from) return starts;
    const isLast = wanted > frames - shortestFrames && frames - at <= most;
    if (isLast) return starts;
    const next = snapped(film, Math.min(wanted, room.until), at, room, snap);
    if (snap.onlyKeyframes && next === undefined && frames - at <= most) return starts;
    at = next ?? Math.min(wanted, room.until);
    starts.push(at);
  }
}

interface Room {
  readonly from: number;
  readonly until: number;
}

/** The frame near `wanted` that is best to begin a piece with; undefined where there is none. */
function snapped(
  { scenes, keyframes }: FilmToCut,
  wanted: number,
  at: number,
  room: Room,
  { tolerance, onlyKeyframes }: Snap,
): number | undefined {
  const slack = tolerance * (wanted - at);
  const near = {
    from: Math.max(room.from, wanted - slack),
    until: Math.min(room.until, wanted + slack),
  };
  return (
    nearest(scenes, wanted, near) ??
    nearest(keyframes, wanted, near) ??
    (onlyKeyframes ? nearest(keyframes, wanted, room) : undefined)
  );
}

function nearest(
  frames: readonly number[],
  wanted: number,
  { from, until }: Room,
): number | undefined {
  const after = firstAtLeast(frames, wanted);
  const fitting = [frames[after - 1], frames[after]].filter(
    (frame) => frame !== undefined && frame >= from && frame <= until,
  ) as number[];
  const [one, other] = fitting;
  if (one === undefined || other === undefined) return one;
  return wanted - one <= other - wanted ? one : other;
}

/** Index of the first of ascending values that is not below this; their number if there is none. */
function firstAtLeast(values: ArrayLike<number>, least: number): number {
  let [from, until] = [0, values.length];
  while (from < until) {
    const middle = (from + until) >> 1;
    if (values[middle]! < least) from = middle + 1;
    else until = middle;
  }
  return from;
}

/** When the last piece is done, as the mean of agents that are alike and of agents that are not. */
function costOf(film: KnownFilm, limits: PieceLimits, starts: readonly number[]): number {
  const costs = costsIn(film, limits, starts);
  const { unitsAtOnce } = limits;
  const alike = Array.from({ length: unitsAtOnce }, () => 1);
  const ends = (makespan(costs, alike) + makespan(costs, unlike(unitsAtOnce))) / 2;
  return ends + cuttingCost(film, limits, starts);
}

/** Pieces that begin at keyframes are cut in one pass; others one by one, before any is encoded. */
function cuttingCost(
  { keyframes }: FilmToCut,
  { overheadFrames }: PieceLimits,
  starts: readonly number[],
): number {
  const atKeyframes = starts.every((start) => start === keyframeAt(keyframes, start));
  return atKeyframes ? 0 : starts.length * overheadFrames * CUT_COST;
}

/** The last keyframe at this frame or before it. */
function keyframeAt(keyframes: readonly number[], frame: number): number {
  return keyframes[firstAtLeast(keyframes, frame + 1) - 1] ?? 0;
}

/** What each piece takes, in frames of average work. */
export function pieceCosts(
  film: FilmToCut,
  limits: PieceLimits,
  starts: readonly number[],
): number[] {
  return costsIn(withSums(film), limits, starts);
}

function costsIn(
  { before, frames, keyframes }: KnownFilm,
  { overheadFrames }: PieceLimits,
  starts: readonly number[],
): number[] {
  return starts.map((start, i) => {
    const own = before[starts[i + 1] ?? frames]! - before[start]!;
    const lead = (start - keyframeAt(keyframes, start)) * LEAD_COST;
    return own + overheadFrames + lead;
  });
}

/** As fast together as those that are alike. */
function unlike(count: number): number[] {
  const speeds = Array.from(
    { length: count },
    (_, i) => 1 - ((1 - SLOWEST) * i) / Math.max(1, count - 1),
  );
  const mean = speeds.reduce((sum, speed) => sum + speed, 0) / count;
  return speeds.map((speed) => speed / mean);
}

/** When the last of these is done, if each agent takes the longest that is left as soon as it is free. */
export function makespan(costs: readonly number[], speeds: readonly number[]): number {
  const freeAt = speeds.map(() => 0);
  for (const cost of costs.toSorted((a, b) => b - a)) {
    let first = 0;
    for (let i = 1; i < freeAt.length; i += 1) if (freeAt[i]! < freeAt[first]!) first = i;
    freeAt[first]! += cost / speeds[first]!;
  }
  return Math.max(...freeAt);
}
