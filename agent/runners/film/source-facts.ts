/** What ffprobe says about a file's streams and container. */
import { z } from 'zod';
import { FilmFault, oneLine } from './film-fault.ts';
import type { SourceTrack } from './film-plan.ts';
import type { MediaProcess, MediaRun } from './media-process.ts';

const streamSchema = z.object({
  index: z.number(),
  codec_type: z.string().optional(),
  codec_name: z.string().optional(),
  codec_tag_string: z.string().optional(),
  width: z.number().optional(),
  height: z.number().optional(),
  pix_fmt: z.string().optional(),
  sample_rate: z.string().optional(),
  time_base: z.string().optional(),
  avg_frame_rate: z.string().optional(),
  r_frame_rate: z.string().optional(),
  nb_frames: z.string().optional(),
  start_time: z.string().optional(),
  duration: z.string().optional(),
  color_range: z.string().optional(),
  color_space: z.string().optional(),
  color_transfer: z.string().optional(),
  color_primaries: z.string().optional(),
  extradata_hash: z.string().optional(),
  disposition: z.record(z.string(), z.number()).optional(),
  tags: z.record(z.string(), z.string()).optional(),
  side_data_list: z.array(z.record(z.string(), z.unknown())).optional(),
});

const probeSchema = z.object({
  /** Of the first packets, where asked for: each could be decoded. */
  frames: z.array(z.object({ stream_index: z.number().optional() })).default([]),
  streams: z.array(streamSchema).default([]),
  format: z
    .object({
      format_name: z.string().optional(),
      start_time: z.string().optional(),
      duration: z.string().optional(),
    })
    .default({}),
});

/** Some are of the picture, unless it begins late or lies apart from the audio. */
const DECODED_PACKETS = 12;

export type MediaStream = z.infer<typeof streamSchema>;
export type MediaFacts = z.infer<typeof probeSchema>;

/**
 * Streams and container of a file. A file that cannot be opened is the source's fault.
 * Throws FilmFault `invalid-input`.
 */
export async function probeMedia(
  media: MediaProcess,
  name: string,
  options: readonly string[] = ['-show_data_hash', 'MD5'],
): Promise<MediaFacts> {
  const { run, json } = await media.ffprobeJson(name, [
    '-show_streams',
    '-show_format',
    ...options,
  ]);
  const large = /Picture size (\d+x\d+) exceeds/.exec(run.complaints.join('\n'));
  if (large !== null) {
    throw new FilmFault(
      'invalid-input',
      `${name} has a picture of ${large[1]}, beyond what is taken (8K)`,
    );
  }
  if (!run.ok) throw await unreadable(media, name, run);
  return probeSchema.parse(json);
}

/** The film's own picture: the first video stream that is no cover image. */
export function pictureStream(facts: MediaFacts): MediaStream | undefined {
  return streamsOf(facts, 'video').find((stream) => stream.disposition?.['attached_pic'] !== 1);
}

/** `probeMedia`, with a try at decoding what the first packets hold. */
export function probeAndDecode(media: MediaProcess, name: string): Promise<MediaFacts> {
  return probeMedia(
    media,
    name,
    [
      ['-show_frames', '-show_entries', 'frame=stream_index'],
      ['-read_intervals', `%+#${DECODED_PACKETS}`],
    ].flat(),
  );
}

export function streamsOf(facts: MediaFacts, type: string): MediaStream[] {
  return facts.streams.filter((stream) => stream.codec_type === type);
}

/** What the plan keeps of each stream, so that the film's maker need not look again. */
export function tracksOf(facts: MediaFacts): SourceTrack[] {
  return facts.streams.map(({ index, codec_type, codec_name, tags }) => ({
    index,
    type: codec_type,
    codec: codec_name,
    language: tags?.['language'],
    title: tags?.['title'],
  }));
}

/** Where the container begins by its own clock. */
export function containerStartUs(facts: MediaFacts): number {
  const seconds = Number(facts.format.start_time ?? 0);
  return Math.round((Number.isFinite(seconds) ? seconds : 0) * 1e6);
}

async function unreadable(media: MediaProcess, name: string, run: MediaRun): Promise<FilmFault> {
  const text = run.complaints.join('\n');
  if (/moov atom not found/.test(text)) {
    // ffprobe takes anything whose name ends in .mp4 for one, and then misses the index.
    if (!isBox(await media.firstBytes(name, 8))) {
      return new FilmFault(
        'invalid-input',
        `${name} is not a video, whatever its name says: give the video file itself`,
      );
    }
    return new FilmFault(
      'invalid-input',
      `${name} is not a whole video: its index (moov) is missing; copy the file again`,
    );
  }
  if (/not on whitelist/.test(text)) {
    return new FilmFault(
      'invalid-input',
      `${name} is a playlist or of a format that is not taken; give the video file itself`,
    );
  }
  const said = oneLine(run.complaints.at(-1) ?? `signal ${run.result.signal}`);
  return new FilmFault('invalid-input', `${name} is not a video that ffmpeg can read (${said})`);
}

/** Whether a file begins as the MP4 and QuickTime family does: a box of a known type. */
function isBox(firstBytes: Buffer): boolean {
  return /^(ftyp|moov|mdat|wide|free|skip|pnot)$/.test(firstBytes.toString('latin1', 4, 8));
}
