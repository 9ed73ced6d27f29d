/**
 * The path of the camera, and how each frame is moved so that the path becomes smooth. Computed over the whole
 * film at once and only then handed to the pieces, so that nothing jumps where they meet.
 *
 * The smoothing is the one that vid.stab's own second pass does (a Gaussian over the path), so that pieces show
 * what a single run over the film would; what hides the edges is ours.
 */

/** From one frame to the next, or of one frame: pixels, and radians counter-clockwise. */
export interface Move {
  readonly x: number;
  readonly y: number;
  readonly angle: number;
}

export interface FrameSize {
  readonly width: number;
  readonly height: number;
}

/** Beyond this more is lost than won; the edges show instead. */
export const MAX_ZOOM_PERCENT = 30;

/** The border of the picture that interpolation does not reach. */
const MARGIN_PIXELS = 1;

/** Lines `0 x y angle zoom extra` of vid.stab's list of motions; comments begin with `#`. */
export function parseMotions(text: string): Move[] {
  const moves: Move[] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('#') || line.trim() === '') continue;
    const [, x = NaN, y = NaN, angle = NaN] = line.trim().split(/\s+/).map(Number);
    moves.push({ x, y, angle });
  }
  return moves;
}

/** `motions[i]`: from frame i - 1 to frame i. `radius`: frames to each side that are looked at. */
export function steadyMoves(motions: readonly Move[], radius: number): Move[] {
  const path = absolutePath(motions);
  if (radius < 1) return path;
  const weights = Array.from({ length: radius + 1 }, (_, off) =>
    Math.exp(-((off / (radius / 2)) ** 2)),
  );
  return path.map((at, i) => {
    let sum = 0;
    let [x, y, angle] = [0, 0, 0];
    const last = Math.min(path.length - 1, i + radius);
    for (let j = Math.max(0, i - radius); j <= last; j += 1) {
      const weight = weights[Math.abs(j - i)]!;
      const other = path[j]!;
      sum += weight;
      x += weight * other.x;
      y += weight * other.y;
      angle += weight * other.angle;
    }
    return { x: at.x - x / sum, y: at.y - y / sum, angle: at.angle - angle / sum };
  });
}

function absolutePath(motions: readonly Move[]): Move[] {
  let [x, y, angle] = [0, 0, 0];
  return motions.map((motion) => {
    x += motion.x;
    y += motion.y;
    angle += motion.angle;
    return { x, y, angle };
  });
}

/** Percent that the picture must be enlarged so that no move shows what lies beyond it. */
export function zoomToHideEdges(moves: readonly Move[], { width, height }: FrameSize): number {
  const halfWidth = width / 2;
  const halfHeight = height / 2;
  let fits = 1;
  for (const { x, y, angle } of moves) {
    const [cos, sin] = [Math.abs(Math.cos(angle)), Math.abs(Math.sin(angle))];
    const across = (halfWidth - MARGIN_PIXELS - Math.abs(x)) / (cos * halfWidth + sin * halfHeight);
    const down = (halfHeight - MARGIN_PIXELS - Math.abs(y)) / (sin * halfWidth + cos * halfHeight);
    // A film that stands still needs none.
    if (x !== 0 || y !== 0 || angle !== 0) fits = Math.min(fits, across, down);
  }
  return 100 * (1 - fits);
}
