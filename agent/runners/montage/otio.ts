/**
 * A cut list as OpenTimelineIO (schemas Timeline.1, Stack.1, Track.1, Clip.2, Transition.1), which editors
 * import, and back. All times are whole frames at the film's rate; what a rational rate and our own kinds of
 * transition need beyond the schema is in `metadata.furrow`, and a list without it is read as well. Pure.
 */
import { z } from 'zod';
import type { CutList } from './cut-list.ts';
import { type EditedList, type EditedShot, ListFault, transitionOf } from './edited-list.ts';
import { recordStart } from './edl.ts';
import type { Rate } from './timecode.ts';

interface ListNames {
  /** Of the timeline. */
  readonly title: string;
  readonly music: string;
  /** Of the music, in seconds. */
  readonly musicSeconds: number;
}

export function otioText(list: CutList, names: ListNames): string {
  return `${JSON.stringify(timeline(list, names), undefined, 2)}\n`;
}

function timeline(list: CutList, { title, music, musicSeconds }: ListNames): object {
  const { rate, clips, shots, frames } = list;
  const time = (value: number): object => rationalTime(value, rate);
  const range = (start: number, duration: number): object => ({
    OTIO_SCHEMA: 'TimeRange.1',
    start_time: time(start),
    duration: time(duration),
  });
  const video = shots.flatMap((shot, index) => {
    const clip = clips[shot.clip]!;
    const item = {
      OTIO_SCHEMA: 'Clip.2',
      metadata: {},
      name: clip.name,
      source_range: range(clip.startFrames + shot.from, shot.frames),
      effects:
        shot.speedPercent === 100
          ? []
          : [
              {
                OTIO_SCHEMA: 'LinearTimeWarp.1',
                metadata: {},
                name: '',
                effect_name: 'LinearTimeWarp',
                time_scalar: shot.speedPercent / 100,
              },
            ],
      markers: [],
      enabled: true,
      media_references: {
        DEFAULT_MEDIA: reference(clip.name, range(clip.startFrames, clip.frames)),
      },
      active_media_reference_key: 'DEFAULT_MEDIA',
    };
    return shot.transitionFrames === 0
      ? [item]
      : [transition(list, index, time(0), time(shot.transitionFrames)), item];
  });
  const musicStart = Math.round((list.musicFromMs / 1000) * (rate.num / rate.den));
  const musicFrames = Math.floor(musicSeconds * (rate.num / rate.den));
  const song = {
    OTIO_SCHEMA: 'Clip.2',
    metadata: {},
    name: music,
    source_range: range(musicStart, frames),
    effects: [],
    markers: [],
    enabled: true,
    media_references: { DEFAULT_MEDIA: reference(music, range(0, musicFrames)) },
    active_media_reference_key: 'DEFAULT_MEDIA',
  };
  return {
    OTIO_SCHEMA: 'Timeline.1',
    metadata: { furrow: { version: 1, rate: `${rate.num}/${rate.den}`, frames } },
    name: title,
    global_start_time: time(recordStart(rate)),
    tracks: {
      OTIO_SCHEMA: 'Stack.1',
      metadata: {},
      name: 'tracks',
      source_range: null,
      effects: [],
      markers: [],
      enabled: true,
      children: [track('V1', 'Video', video), track('A1', 'Audio', [song])],
    },
  };
}

function transition(list: CutList, index: number, before: object, after: object): object {
  const { transition: kind } = list.shots[index]!;
  return {
    OTIO_SCHEMA: 'Transition.1',
    metadata: { furrow: { transition: kind } },
    name: kind,
    transition_type: kind === 'dissolve' ? 'SMPTE_Dissolve' : 'Custom_Transition',
    // It begins at the cut, and the shot before it lends its frames.
    in_offset: before,
    out_offset: after,
  };
}

function track(name: string, kind: string, children: readonly object[]): object {
  return {
    OTIO_SCHEMA: 'Track.1',
    metadata: {},
    name,
    source_range: null,
    effects: [],
    markers: [],
    enabled: true,
    kind,
    children,
  };
}

function reference(name: string, availableRange: object): object {
  return {
    OTIO_SCHEMA: 'ExternalReference.1',
    metadata: {},
    name: '',
    available_range: availableRange,
    available_image_bounds: null,
    // A URL, relative to the list: the clip is looked for beside it.
    target_url: encodeURIComponent(name),
  };
}

function rationalTime(value: number, { num, den }: Rate): object {
  return { OTIO_SCHEMA: 'RationalTime.1', rate: num / den, value };
}

// --- And back --------------------------------------------------------------------------------------

const timeSchema = z.object({ rate: z.number().positive(), value: z.number() });
const rangeSchema = z.object({ start_time: timeSchema, duration: timeSchema });
const childSchema = z.object({
  OTIO_SCHEMA: z.string(),
  name: z.string().nullish(),
  enabled: z.boolean().optional(),
  source_range: rangeSchema.nullish(),
  effects: z
    .array(z.object({ OTIO_SCHEMA: z.string(), time_scalar: z.number().optional() }))
    .nullish(),
  media_references: z
    .record(z.string(), z.object({ target_url: z.string().optional() }).nullable())
    .optional(),
  active_media_reference_key: z.string().optional(),
  media_reference: z.object({ target_url: z.string().optional() }).nullish(),
  transition_type: z.string().optional(),
  in_offset: timeSchema.optional(),
  out_offset: timeSchema.optional(),
  metadata: z.record(z.string(), z.unknown()).nullish(),
});
const trackSchema = z.object({
  OTIO_SCHEMA: z.string(),
  kind: z.string().optional(),
  children: z.array(z.unknown()).default([]),
});
const timelineSchema = z.object({
  OTIO_SCHEMA: z.string(),
  tracks: z.object({ children: z.array(trackSchema) }),
});

type Child = z.infer<typeof childSchema>;

/** Throws ListFault. */
export function readOtio(text: string, rate: Rate): EditedList {
  const timelineJson = timelineSchema.safeParse(parsed(text));
  if (!timelineJson.success || !timelineJson.data.OTIO_SCHEMA.startsWith('Timeline.')) {
    throw new ListFault('it is no OpenTimelineIO timeline: export the timeline itself, as .otio');
  }
  const tracks = timelineJson.data.tracks.children.filter(
    ({ kind, children }) => kind === 'Video' && children.length > 0,
  );
  if (tracks.length !== 1) {
    throw new ListFault(
      `it has ${tracks.length} video tracks that hold something: leave exactly one`,
    );
  }
  const shots: EditedShot[] = [];
  let pending: Pick<EditedShot, 'transition' | 'transitionFrames'> | undefined;
  for (const [index, item] of tracks[0]!.children.entries()) {
    const where = `item ${index + 1} of its video track`;
    const child = childSchema.safeParse(item);
    if (!child.success) throw new ListFault(`${where} is not as OpenTimelineIO has it`);
    if (child.data.OTIO_SCHEMA.startsWith('Transition.')) {
      pending = transitionFrom(child.data, where, rate);
    } else {
      shots.push({ ...clipFrom(child.data, where, rate), ...(pending ?? CUT) });
      pending = undefined;
    }
  }
  if (pending !== undefined) throw new ListFault('it ends with a transition: remove that');
  return { shots };
}

const CUT = { transition: 'cut', transitionFrames: 0 } as const;

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new ListFault('it is no JSON: export it as .otio, not as .otioz or .otiod');
  }
}

function transitionFrom(
  child: Child,
  where: string,
  rate: Rate,
): Pick<EditedShot, 'transition' | 'transitionFrames'> {
  const before = framesOf(child.in_offset, where, rate);
  const frames = framesOf(child.out_offset, where, rate);
  if (before !== 0) {
    throw new ListFault(
      `${where} is a transition that begins ${before} frames before the cut: let it begin at the cut`,
    );
  }
  const own = child.metadata?.['furrow'];
  const kind =
    typeof own === 'object' && own !== null && 'transition' in own
      ? String(own.transition)
      : 'dissolve';
  return { transition: transitionOf(kind, where), transitionFrames: frames };
}

function clipFrom(
  child: Child,
  where: string,
  rate: Rate,
): Omit<EditedShot, 'transition' | 'transitionFrames'> {
  if (!child.OTIO_SCHEMA.startsWith('Clip.')) {
    throw new ListFault(
      `${where} is a ${child.OTIO_SCHEMA.split('.')[0]}: only clips and transitions are taken, one after the other`,
    );
  }
  const key = child.active_media_reference_key ?? 'DEFAULT_MEDIA';
  const url = (child.media_references?.[key] ?? child.media_reference)?.target_url;
  const name = url === undefined ? (child.name ?? '') : nameIn(url);
  if (name === '') throw new ListFault(`${where} names no file: relink it to its clip`);
  if (child.source_range === null || child.source_range === undefined) {
    throw new ListFault(`${where} (${name}) has no source range: trim it, be it by nothing`);
  }
  const { start_time, duration } = child.source_range;
  return {
    where: `${where} (${name})`,
    clip: name,
    from: framesOf(start_time, where, rate),
    frames: framesOf(duration, where, rate),
    speedPercent: speedFrom(child, where),
    fromIsTimecode: true,
  };
}

/** The last part of a path or URL, decoded. */
function nameIn(url: string): string {
  const last =
    url
      .replace(/[?#].*$/, '')
      .split(/[/\\]/)
      .at(-1) ?? '';
  try {
    return decodeURIComponent(last);
  } catch {
    return last;
  }
}

function speedFrom({ effects }: Child, where: string): number {
  const other = effects?.find(({ OTIO_SCHEMA }) => !OTIO_SCHEMA.startsWith('LinearTimeWarp.'));
  if (other !== undefined) {
    throw new ListFault(`${where} has an effect (${other.OTIO_SCHEMA}): remove it`);
  }
  const percent = (effects?.[0]?.time_scalar ?? 1) * 100;
  if (Math.abs(percent - Math.round(percent)) > 1e-6) {
    throw new ListFault(`${where} plays at ${percent} %: use a whole number of percent`);
  }
  return Math.round(percent);
}

function framesOf(time: z.infer<typeof timeSchema> | undefined, where: string, rate: Rate): number {
  const wanted = rate.num / rate.den;
  const { rate: own, value } = time ?? { rate: wanted, value: 0 };
  // Programs write 29.97 as 29.97, 29.97003 or 30000/1001 to the last bit.
  if (Math.abs(own - wanted) > 0.005) {
    throw new ListFault(
      `${where} counts at ${own} frames a second and the film at ${rate.num}/${rate.den}: give the list's rate with --fps`,
    );
  }
  if (!Number.isInteger(value)) {
    throw new ListFault(`${where} has a time of ${value} frames: times are whole frames`);
  }
  return value;
}
