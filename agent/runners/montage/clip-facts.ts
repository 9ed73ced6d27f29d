/**
 * What has to be known of a clip's picture so that every shot of it is shown the same way. Travels in
 * `piece-*.json`, whose words go into filter graphs: no word with a colon or a comma passes.
 */
import { z } from 'zod';
import { FilmFault } from '../film/film-fault.ts';
import { MAX_SIDE_PIXELS } from '../film/media-limits.ts';
import type { MediaProcess } from '../film/media-process.ts';
import { describePicture } from '../film/picture.ts';
import {
  pictureStream,
  probeAndDecode,
  streamsOf,
  tagsSchema,
  type MediaFacts,
} from '../film/source-facts.ts';
import { parseTimeBase, type TimeBase } from '../film/timeline.ts';
import { frameOf, type Rate } from './timecode.ts';

const word = z.string().regex(/^[A-Za-z0-9_-]*$/);
const side = z.number().int().positive().max(MAX_SIDE_PIXELS);

export const clipPictureSchema = z.object({
  /** As stored. */
  width: side,
  height: side,
  pixelFormat: word,
  /** Matrix that turns the stored picture into the shown one: [a, b, c, d] of ±1 and 0. */
  orientation: z.array(z.number().int()).length(4),
  /** How much wider than high a stored pixel is shown. */
  pixelAspect: z.number().positive(),
  colour: z.object({ range: word, space: word, transfer: word, primaries: word }),
});

export type ClipPicture = z.infer<typeof clipPictureSchema>;

export interface ClipFacts {
  readonly facts: MediaFacts;
  /** Index of the video stream. */
  readonly stream: number;
  readonly timeBase: TimeBase;
  readonly picture: ClipPicture;
  readonly hasSound: boolean;
  /** The timecode of its first frame at the film's rate, in frames; 0 where it says none. */
  readonly startFrames: number;
}

const moreSchema = z.object({
  streams: z
    .array(
      z.object({
        index: z.number(),
        sample_aspect_ratio: z.string().optional(),
        avg_frame_rate: z.string().optional(),
        tags: tagsSchema.optional(),
      }),
    )
    .default([]),
  format: z.object({ tags: tagsSchema.optional() }).default({}),
});

/** Throws FilmFault `invalid-input` where there is no picture to be seen. */
export async function readClipFacts(
  media: MediaProcess,
  name: string,
  rate: Rate,
): Promise<ClipFacts> {
  const sizeBytes = await media.sizeOf(name);
  if (sizeBytes === undefined || sizeBytes === 0) {
    const what = sizeBytes === 0 ? 'is empty' : "is none of the unit's inputs: name it as one";
    throw new FilmFault('invalid-input', `${name} ${what}`);
  }
  const facts = await probeAndDecode(media, name);
  const stream = pictureStream(facts);
  const hasSound = streamsOf(facts, 'audio').length > 0;
  if (stream === undefined) {
    const only = hasSound ? 'only audio' : 'no video';
    throw new FilmFault('invalid-input', `${name} has ${only}: leave it out`);
  }
  const timeBase = parseTimeBase(stream.time_base);
  if (timeBase === undefined) throw new FilmFault('invalid-input', `${name} has no time base`);
  const more = await readMore(media, name);
  const own = more.streams.find(({ index }) => index === stream.index);
  const described = describePicture(stream);
  const picture = clipPictureSchema.safeParse({
    ...described,
    pixelAspect: aspectOf(own?.sample_aspect_ratio),
  });
  if (!picture.success) {
    throw new FilmFault('invalid-input', `${name} does not say how large its picture is`);
  }
  const code = own?.tags?.['timecode'] ?? more.format.tags?.['timecode'] ?? '';
  return {
    facts,
    stream: stream.index,
    timeBase,
    picture: picture.data,
    hasSound,
    startFrames: own?.avg_frame_rate === `${rate.num}/${rate.den}` ? (frameOf(code, rate) ?? 0) : 0,
  };
}

async function readMore(media: MediaProcess, name: string): Promise<z.infer<typeof moreSchema>> {
  const entries =
    'stream=index,sample_aspect_ratio,avg_frame_rate:stream_tags=timecode:format_tags=timecode';
  const { json } = await media.ffprobeJson(name, ['-show_entries', entries]);
  return moreSchema.parse(json ?? {});
}

/** `4:3`; beyond 8 to 1 a header is wrong. */
function aspectOf(text: string | undefined): number {
  const [width, height] = (text ?? '').split(':').map(Number);
  const aspect = (width ?? 0) / (height ?? 0);
  return aspect > 1 / 8 && aspect < 8 ? aspect : 1;
}
