/** Why a picture cannot be decoded, for people: of what ffmpeg said, without what only its makers understand. Pure. */
import { MAX_PIXELS } from '../../../kit/film-fence.ts';

const ADDRESS = /\[[^\]@]*@ [^\]]*\] /g;
const TOO_LARGE = /Picture size (\d+)x(\d+) (?:is invalid|exceeds)/;
const ANIMATION = /unsupported chunk: AN(?:IM|MF)/;
/** It goes on about versions of ffmpeg, which nobody here can choose. */
const ADVICE = / (?:Update your FFmpeg|If you want to help|, see the documentation).*$/;
const MOST_SAID = 3;

export function pictureFault(said: readonly string[]): string {
  const [, width, height] = TOO_LARGE.exec(said.join('\n')) ?? [];
  if (Number(width) * Number(height) > MAX_PIXELS) {
    return `it says that it has ${width}x${height} pixels: up to ${MAX_PIXELS} are taken`;
  }
  if (said.some((line) => ANIMATION.test(line))) {
    return 'it is an animation, which ffmpeg cannot decode: save its frames as pictures, or as a film';
  }
  const words = said
    .slice(0, MOST_SAID)
    .map((line) => line.replaceAll(ADDRESS, '').replace(ADVICE, ''));
  return words.length === 0
    ? 'it cannot be decoded: it is damaged or cut short'
    : `it cannot be decoded: ${words.join('; ')}`;
}
