/**
 * Whether a frame of the film shows a frame of a clip, though it was scaled, cut and graded: by how the grey
 * levels of tiny copies go together, which brightness and contrast do not change. Pure.
 */
import type { MontageFilm } from '../../../proto/gen/furrow/v1/task_montage.ts';
import type { ClipPicture } from './clip-facts.ts';
import { placeIn } from './picture-filters.ts';

const WIDTH = 32;
const HEIGHT = 18;

/** Grey levels: a picture that is as good as flat goes together with anything. */
const LEAST_DEVIATION = 3;

/**
 * From -1 to 1; undefined where one of both is flat. `film` and `clip` are thumbs, that of the film as shown,
 * that of the clip upright and whole.
 */
export function likeness(
  filmThumb: Uint8Array,
  clipThumb: Uint8Array,
  film: MontageFilm,
  picture: ClipPicture,
): number | undefined {
  const placed = placeIn(film, picture);
  // How far the clip's picture reaches over the film's frame, or the frame over the picture.
  const across = placed.width / film.width;
  const down = placed.height / film.height;
  const [ours, theirs]: [number[], number[]] = [[], []];
  // Away from the edges, where a thumb's pixel may be of two things.
  for (let y = 1; y < HEIGHT - 1; y += 1) {
    for (let x = 1; x < WIDTH - 1; x += 1) {
      const u = (x + 0.5) / WIDTH;
      const v = (y + 0.5) / HEIGHT;
      const inClip = [(u - 0.5) / across + 0.5, (v - 0.5) / down + 0.5] as const;
      const at = sampled(clipThumb, ...inClip);
      if (at === undefined) continue;
      ours.push(filmThumb[y * WIDTH + x]!);
      theirs.push(at);
    }
  }
  return correlation(ours, theirs);
}

/** Between pixels; undefined outside of the picture's pixels. */
function sampled(thumb: Uint8Array, u: number, v: number): number | undefined {
  const x = u * WIDTH - 0.5;
  const y = v * HEIGHT - 0.5;
  if (x < 0 || y < 0 || x > WIDTH - 1 || y > HEIGHT - 1) return undefined;
  const [left, top] = [Math.floor(x), Math.floor(y)];
  const [right, bottom] = [Math.min(WIDTH - 1, left + 1), Math.min(HEIGHT - 1, top + 1)];
  const row = (line: number): number => {
    const [a, b] = [thumb[line * WIDTH + left]!, thumb[line * WIDTH + right]!];
    return a + (x - left) * (b - a);
  };
  return row(top) + (y - top) * (row(bottom) - row(top));
}

function correlation(a: readonly number[], b: readonly number[]): number | undefined {
  const count = a.length;
  if (count < 16) return undefined;
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / count;
  const [meanA, meanB] = [mean(a), mean(b)];
  let [both, powerA, powerB] = [0, 0, 0];
  for (let i = 0; i < count; i += 1) {
    const [x, y] = [a[i]! - meanA, b[i]! - meanB];
    both += x * y;
    powerA += x * x;
    powerB += y * y;
  }
  const flat = Math.min(powerA, powerB) / count < LEAST_DEVIATION ** 2;
  return flat ? undefined : both / Math.sqrt(powerA * powerB);
}
