/**
 * One size and one shape of pixels throughout, those that the film's header says. Broadcasts and streams change
 * theirs in the middle: pieces of two sizes would not join. Pure.
 */
import type { VideoEncoding } from '../../../proto/gen/furrow/v1/task.ts';
import type { FilmPlan } from './film-plan.ts';

type Source = Pick<FilmPlan['source'], 'width' | 'height' | 'orientation' | 'sampleAspect'>;
type Sides = readonly [number, number];

/** After all filters that an encoder wants: they change nothing of a picture that has the form already. */
export function oneFormFilters(
  { width, height, orientation, sampleAspect = '' }: Source,
  video: Pick<VideoEncoding, 'encoder' | 'width' | 'height'>,
): readonly string[] {
  if (width < 1 || height < 1) return [];
  const turned = ([a, b]: Sides): Sides => (orientation[0] === 0 ? [b, a] : [a, b]);
  const from = turned([width, height]);
  const isScaled = video.width > 0 || video.height > 0;
  const [across, down] = isScaled ? scaledTo(from, video) : cropped(from, video.encoder);
  const [, wide, high] = /^([1-9]\d*):([1-9]\d*)$/.exec(sampleAspect) ?? [];
  const size = `scale=${across}:${down}:flags=bicubic`;
  if (wide === undefined || high === undefined) return [size];
  const [x, y] = turned([Number(wide), Number(high)]);
  // What scaling changes of a picture's shape, its pixels have to make up for.
  const stretch: Sides = isScaled ? [down * from[0], across * from[1]] : [1, 1];
  const [num, den] = reduced([x * stretch[0], y * stretch[1]]);
  return [size, `setsar=${num}/${den}:max=1000000`];
}

function cropped([across, down]: Sides, encoder: string): Sides {
  if (encoder === 'libvpx-vp9') return [across, down];
  return [Math.floor(across / 2) * 2, Math.floor(down / 2) * 2];
}

/** As ffmpeg counts a side of -2. */
function scaledTo(
  [across, down]: Sides,
  { width, height }: { width: number; height: number },
): Sides {
  const even = (side: number, of: number, to: number): number =>
    Math.round((side * of) / (to * 2)) * 2;
  return [width || even(height, across, down), height || even(width, down, across)];
}

function reduced([a, b]: Sides): Sides {
  let [x, y] = [a, b];
  while (y > 0) [x, y] = [y, x % y];
  return [a / x, b / x];
}
