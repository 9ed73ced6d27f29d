/**
 * What ffmpeg says while it decodes numbered pictures: which of them came through, how large each was, and what is
 * wrong with the others. Line by line, in whatever words its version has.
 */
import { pictureFault } from './picture-fault.ts';
import type { PictureSize } from './picture-fit.ts';

export interface DecodedPicture extends PictureSize {
  /** Its number, or of a film's frame its time in ticks. */
  readonly pts: number;
}

/** Of the filter `showinfo`: one for each picture that comes through, before it is scaled. */
const SHOWN = /^\[Parsed_showinfo_\d+ @ [^\]]*\] n: *\d+ pts: *(-?\d+) .* s:(\d+)x(\d+) /;
/** The end of what is said of one picture, in several versions. */
const ONE_LOST = /^(\[[^\]]*\] )?Error (while decoding stream|submitting (a )?packet)/i;
/** Of decoders, and of what they call; the address tells nothing. */
const COMPLAINT =
  /^\[(?:png|mjpeg|webp|vp8|bmp|tiff|IMGUTILS|image2|rawvideo)[^\]@]*@ [^\]]*\] (.+)$/i;

/** It is not the picture: this machine's ffmpeg cannot do what it is asked to. */
const NOT_THE_PICTURE =
  /Unrecognized option|Option \S+ not found|No such filter|Unknown (decoder|encoder|filter)|error while loading shared libraries/i;

export class PictureLog {
  readonly decoded: DecodedPicture[] = [];
  readonly #onDecoded: (picture: DecodedPicture) => void;
  /** By how many had come through: what was said of each that was lost then. */
  readonly #lost = new Map<number, (readonly string[])[]>();
  #said: string[] = [];
  /** Why it can decode no picture; empty where it said nothing like it. */
  machineFault = '';

  constructor(onDecoded: (picture: DecodedPicture) => void = () => undefined) {
    this.#onDecoded = onDecoded;
  }

  take(line: string): void {
    const shown = SHOWN.exec(line);
    if (shown !== null) {
      const [, pts, width, height] = shown.map(Number);
      const picture = { pts: pts!, width: width!, height: height! };
      // What is said and not followed by a loss was said of this one, which came through.
      this.#said = [];
      this.decoded.push(picture);
      this.#onDecoded(picture);
      return;
    }
    const complaint = COMPLAINT.exec(line)?.[1];
    if (complaint !== undefined) this.#said.push(complaint);
    else if (ONE_LOST.test(line)) this.#loseOne();
    else if (NOT_THE_PICTURE.test(line)) this.machineFault = line.trim();
  }

  /** How many were lost since the last one that came through, as far as ffmpeg told. */
  get lostSince(): number {
    return this.#lost.get(this.decoded.length)?.length ?? 0;
  }

  /** What was said of the `position`th picture that was lost after `count` had come through. */
  reasonOf(count: number, position: number): string {
    return pictureFault(this.#lost.get(count)?.[position] ?? []);
  }

  #loseOne(): void {
    const count = this.decoded.length;
    const lost = this.#lost.get(count) ?? [];
    this.#lost.set(count, lost);
    lost.push(this.#said);
    this.#said = [];
  }
}
