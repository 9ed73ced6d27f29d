/** What ffprobe says about a file's streams and container. */
import { z } from 'zod';
import { MAX_PIXELS, MAX_STREAMS } from '../../../kit/film-fence.ts';
import { FilmFault, oneLine } from './film-fault.ts';
import type { SourceTrack } from './film-plan.ts';
import { MAX_DURATION_SECONDS, MAX_LABEL_LENGTH, MAX_SIDE_PIXELS } from './media-limits.ts';
import type { MediaProcess, MediaRun } from './media-process.ts';
import { formatClock } from './timeline.ts';

/** Matroska has `TIMECODE` where MP4 has `timecode`: their names are read in small letters. */
export const tagsSchema = z
  .record(z.string(), z.string())
  .transform((tags) =>
    Object.fromEntries(Object.entries(tags).map(([name, value]) => [name.toLowerCase(), value])),
  );

const streamSchema = z.object({
  index: z.number(),
  codec_type: z.string().optional(),
  codec_name: z.string().optional(),
  codec_tag_string: z.string().optional(),
  width: z.number().optional(),
  height: z.number().optional(),
  pix_fmt: z.string().optional(),
  sample_aspect_ratio: z.string().optional(),
  sample_rate: z.string().optional(),
  channels: z.number().optional(),
  bits_per_raw_sample: z.string().optional(),
  channel_layout: z.string().optional(),
  time_base: z.string().optional(),
  avg_frame_rate: z.string().optional(),
  r_frame_rate: z.string().optional(),
  nb_frames: z.string().optional(),
  start_time: z.string().optional(),
  duration: z.string().optional(),
  field_order: z.string().optional(),
  color_range: z.string().optional(),
  color_space: z.string().optional(),
  color_transfer: z.string().optional(),
  color_primaries: z.string().optional(),
  extradata_hash: z.string().optional(),
  disposition: z.record(z.string(), z.number()).optional(),
  tags: tagsSchema.optional(),
  side_data_list: z.array(z.record(z.string(), z.unknown())).optional(),
});

const probeSchema = z.object({
  /** Of the first packets, where asked for: each could be decoded. */
  frames: z
    .array(
      z.object({
        stream_index: z.number().optional(),
        side_data_list: z.array(z.record(z.string(), z.unknown())).optional(),
      }),
    )
    .default([]),
  streams: z.array(streamSchema).default([]),
  /** Where asked for. */
  chapters: z
    .array(z.object({ start_time: z.coerce.number(), end_time: z.coerce.number() }))
    .optional(),
  format: z
    .object({
      format_name: z.string().optional(),
      start_time: z.string().optional(),
      duration: z.string().optional(),
      tags: tagsSchema.optional(),
    })
    .default({}),
});

/** What a film's tracks are for, as the containers can say it. */
const KEPT_DISPOSITIONS =
  'default forced original dub comment lyrics karaoke hearing_impaired visual_impaired captions descriptions clean_effects'.split(
    ' ',
  );

/** Only these are printed: other tags can be longer than any line that is read. */
const ENTRIES = [
  `stream=${Object.keys(streamSchema.shape).join(',')}`,
  'stream_tags=language,title,timecode',
  `stream_disposition=${['attached_pic', ...KEPT_DISPOSITIONS].join(',')}`,
  'stream_side_data',
  'format=format_name,start_time,duration',
  'format_tags=timecode',
].join(':');

const WITH_CHAPTERS = `${ENTRIES}:chapter=start_time,end_time`;

/** Some are of the picture, unless it begins late or lies apart from the audio. */
const DECODED_PACKETS = 12;

export type MediaStream = z.infer<typeof streamSchema>;
export type MediaFacts = z.infer<typeof probeSchema>;

/** Streams and container of a file that a unit made. Throws FilmFault `invalid-input`. */
export function probeMedia(media: MediaProcess, name: string): Promise<MediaFacts> {
  return look(media, name, ENTRIES, ['-show_data_hash', 'MD5']);
}

/** `probeMedia`, with the film's chapters. */
export function probeWithChapters(media: MediaProcess, name: string): Promise<MediaFacts> {
  return look(media, name, WITH_CHAPTERS, ['-show_data_hash', 'MD5']);
}

/**
 * Streams and container of a user's film. One that cannot be opened or is larger than anything that is
 * taken is the source's fault: throws FilmFault `invalid-input`.
 */
export async function probeSource(media: MediaProcess, name: string): Promise<MediaFacts> {
  const facts = await probeMedia(media, name);
  refuseBeyondLimits(name, facts);
  return facts;
}

/** `probeSource`, with the film's chapters. */
export async function probeSourceWithChapters(
  media: MediaProcess,
  name: string,
): Promise<MediaFacts> {
  const facts = await probeWithChapters(media, name);
  refuseBeyondLimits(name, facts);
  return facts;
}

/** `probeSource`, with a try at decoding what the first packets hold. */
export async function probeAndDecode(media: MediaProcess, name: string): Promise<MediaFacts> {
  const packets = ['-show_frames', '-read_intervals', `%+#${DECODED_PACKETS}`];
  const facts = await look(media, name, `frame=stream_index:frame_side_data:${ENTRIES}`, packets);
  refuseBeyondLimits(name, facts);
  return { ...facts, streams: facts.streams.map((stream) => withSideDataOf(facts, stream)) };
}

/** What only a stream's first frames say of it, such as the display that HDR10 was graded on. */
function withSideDataOf({ frames }: MediaFacts, stream: MediaStream): MediaStream {
  const frame = frames.find((candidate) => candidate.stream_index === stream.index);
  if (frame?.side_data_list === undefined) return stream;
  return {
    ...stream,
    side_data_list: [...(stream.side_data_list ?? []), ...frame.side_data_list],
  };
}

/** `probeSource` of a file that may be of sound alone. */
export async function probeSound(media: MediaProcess, name: string): Promise<MediaFacts> {
  const facts = await look(media, name, ENTRIES, [], true);
  refuseBeyondLimits(name, facts);
  return facts;
}

async function look(
  media: MediaProcess,
  name: string,
  entries: string,
  options: readonly string[],
  sound = false,
): Promise<MediaFacts> {
  const asked = ['-show_entries', entries, ...options];
  const { run, json } = await media.ffprobeJson(name, asked, { sound });
  const fault = faultSaid(name, run.complaints.join('\n'));
  if (fault !== undefined) throw new FilmFault('invalid-input', fault);
  if (!run.ok) throw unreadable(name, run);
  return probeSchema.parse(json);
}

/** What ffmpeg says where one of the fence's limits was met, though it may go on without. */
function faultSaid(name: string, text: string): string | undefined {
  const size = /Picture size (\d+x\d+) (exceeds|is invalid)/.exec(text)?.[1];
  if (size !== undefined) return beyondPixels(name, size);
  return /Number of streams exceeds max_streams/.test(text)
    ? `${name} has more tracks than the ${MAX_STREAMS} that are taken; remux it without them first`
    : undefined;
}

function beyondPixels(name: string, size: string): string {
  return `${name} has a picture of ${size}, beyond what is taken (8K, ${MAX_PIXELS} pixels)`;
}

/** What the header claims; the frames themselves are counted later. */
function refuseBeyondLimits(name: string, facts: MediaFacts): void {
  const refuse = (what: string): never => {
    throw new FilmFault('invalid-input', `${name} ${what}`);
  };
  for (const { width = 0, height = 0 } of streamsOf(facts, 'video')) {
    const size = `${width}x${height}`;
    if (width * height > MAX_PIXELS) throw new FilmFault('invalid-input', beyondPixels(name, size));
    if (Math.max(width, height) > MAX_SIDE_PIXELS) {
      refuse(`has a picture of ${size}: a side may have ${MAX_SIDE_PIXELS} pixels`);
    }
  }
  const seconds = Number(facts.format.duration ?? 0);
  if (seconds > MAX_DURATION_SECONDS) {
    refuse(
      `says that it lasts ${formatClock(seconds)}, at most ${formatClock(MAX_DURATION_SECONDS)} is ` +
        `taken; if that is wrong, remux it first (ffmpeg -i in -c copy out.mkv)`,
    );
  }
}

/** The film's own picture: the first video stream that is no cover image. */
export function pictureStream(facts: MediaFacts): MediaStream | undefined {
  return streamsOf(facts, 'video').find((stream) => stream.disposition?.['attached_pic'] !== 1);
}

export function streamsOf(facts: MediaFacts, type: string): MediaStream[] {
  return facts.streams.filter((stream) => stream.codec_type === type);
}

/** What the plan keeps of each stream, so that the film's maker need not look again. */
export function tracksOf(facts: MediaFacts): SourceTrack[] {
  return facts.streams.map(({ index, codec_type, codec_name, tags, channels, disposition }) => ({
    index,
    type: codec_type,
    codec: codec_name,
    language: tags?.['language']?.slice(0, MAX_LABEL_LENGTH),
    title: tags?.['title']?.slice(0, MAX_LABEL_LENGTH),
    channels,
    dispositions: KEPT_DISPOSITIONS.filter((name) => disposition?.[name] === 1),
  }));
}

/** Where the container begins by its own clock. */
export function containerStartUs(facts: MediaFacts): number {
  const seconds = Number(facts.format.start_time ?? 0);
  return Math.round((Number.isFinite(seconds) ? seconds : 0) * 1e6);
}

function unreadable(name: string, run: MediaRun): FilmFault {
  const text = run.complaints.join('\n');
  if (/moov atom not found/.test(text)) {
    return new FilmFault(
      'invalid-input',
      `${name} is not a whole video: its index (moov) is missing; copy the file again`,
    );
  }
  if (/Format not on whitelist/.test(text)) {
    return new FilmFault(
      'invalid-input',
      `${name} is a playlist, a picture (moving or not), sound alone or of another format that is not taken; give a video file, or make one of it first (ffmpeg -i in -c:v ffv1 out.mkv)`,
    );
  }
  const codec = /Codec \((\S+)\) not on whitelist/.exec(text)?.[1];
  if (codec !== undefined) {
    return new FilmFault(
      'invalid-input',
      `${name} has a track of codec ${codec}, which is not taken; encode it anew, or remux the film without it`,
    );
  }
  if (/Cannot allocate memory/.test(text)) {
    return new FilmFault(
      'invalid-input',
      `${name} asks for more memory than a film may take to be looked into; remux it first`,
    );
  }
  const said = oneLine(run.complaints.at(-1) ?? `signal ${run.result.signal}`);
  return new FilmFault('invalid-input', `${name} is not a video that ffmpeg can read (${said})`);
}
