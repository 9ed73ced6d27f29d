/**
 * Reads a finished film once: its packets, and as much of it decoded as a proof needs.
 *
 * Each chunk was decoded from its first packet to its last where it was made, and its seal names those
 * packets and the order in which their pictures are shown. The film holds the same packets in the same
 * order, which the proof compares byte for byte, and each chunk begins with a picture that resets a
 * decoder. So under the same codec header a decoder makes the same pictures of them once more: what is
 * new in the film are its index and the places where chunks meet. There it is decoded: every keyframe,
 * and with it the first picture of every chunk, must come, at its time and without a complaint.
 * (Decoders that cannot leave pictures out decode everything.)
 *
 * Where the header is another one than the seals name, or a seal names no order, as those of older
 * agents do, the whole film is decoded.
 *
 * Audio was encoded in one piece and is always decoded whole.
 */
import type { ProveFilmTask } from '../../../proto/gen/furrow/v1/task.ts';
import { AUDIO_FRAMES_OPTIONS, AudioSpanReader, type AudioSpan } from './audio-span.ts';
import type { ChunkSeal } from './chunk-seal.ts';
import { oneLine, processFault } from './film-fault.ts';
import type { FilmAttempt } from './film-runner.ts';
import type { FilmPlan } from './film-plan.ts';
import { takeLines } from './list-file.ts';
import { decodeLimitMs, soundLimitMs } from './media-limits.ts';
import { FRAMEHASH, parsePacketHash, type PacketHash } from './packet-digest.ts';
import type { Check } from '../../../kit/proof-report.ts';
import { streamsOf, type MediaFacts, type MediaStream } from './source-facts.ts';
import { formatClock, secondsOf, type TimeBase } from './timeline.ts';

/** A film to be read, and what is known of it. */
export interface FilmToRead {
  readonly plan: FilmPlan;
  readonly facts: MediaFacts;
  readonly picture: MediaStream;
  readonly timeBase: TimeBase;
  readonly seals: readonly ChunkSeal[];
}

export interface FilmRead {
  /** Of its picture, in file order. */
  readonly packets: readonly PacketHash[];
  readonly decoded: Check;
  /** Of the film's audio tracks. */
  readonly audio: readonly AudioSpan[];
}

/** Lists of packets, of decoded pictures and of decoded audio frames. */
const PACKET_LIST = 'film-packets.txt';
const PICTURE_LIST = 'film-pictures.txt';
const AUDIO_LIST = 'film-audio.txt';

export async function readFilm(
  attempt: FilmAttempt<ProveFilmTask>,
  film: FilmToRead,
): Promise<FilmRead> {
  const { media, task, context } = attempt;
  const { plan, timeBase } = film;
  const depth = isProvenInChunks(film) ? 'seams' : 'all';
  const tracks = streamsOf(film.facts, 'audio').length;
  const hasAudio = tracks > 0;
  const { width = 0, height = 0 } = film.picture;
  const seconds = Number(film.facts.format.duration ?? 0);
  const skip = depth === 'seams' ? ['-skip_frame:v', 'nokey'] : [];
  const run = await media.ffmpeg(
    [{ name: task.film, options: ['-err_detect', 'explode', '-noautorotate', '-copyts', ...skip] }],
    [
      { name: { file: PACKET_LIST }, options: ['-map', '0:v:0', ...FRAMEHASH] },
      {
        name: { file: PICTURE_LIST },
        options: [
          ['-map', '0:v:0', '-fps_mode', 'passthrough', '-vf', 'scale=16:16', '-f', 'framecrc'],
          // In ticks of the film: a guessed frame rate would press two frames into one tick.
          ['-enc_time_base', `${timeBase.num}/${timeBase.den}`],
        ].flat(),
      },
      ...(hasAudio ? [{ name: { file: AUDIO_LIST }, options: AUDIO_FRAMES_OPTIONS }] : []),
    ],
    ({ frame }) => {
      const share = Math.min(1, frame / plan.frames);
      context.progress(0.95 * share, frame, 'reading');
    },
    { limitMs: decodeLimitMs(plan.frames, width * height) + soundLimitMs(seconds, tracks) },
  );
  if (!run.ok && run.result.exitCode === null) throw processFault(run, `reading ${task.film}`);
  const complaint = run.complaints[0] ?? (run.ok ? undefined : 'ffmpeg failed');
  const { packets, shown, audio } = await takeLists(attempt, film);
  const check = depth === 'seams' ? checkSeams(film, packets, shown) : checkAll(film, shown);
  const finding =
    complaint === undefined ? check.finding : `it does not decode: ${oneLine(complaint)}`;
  return { packets, decoded: { ...check, finding }, audio };
}

/** Whether the chunks' encoders decoded just what a decoder of the film gets. */
export function isProvenInChunks({
  picture,
  seals,
}: Pick<FilmToRead, 'picture' | 'seals'>): boolean {
  const header = picture.extradata_hash;
  return (
    header !== undefined &&
    seals.every((seal) => seal.orderSha256 !== undefined && seal.extradataHash === header)
  );
}

function checkAll({ plan }: FilmToRead, shown: readonly number[]): Check {
  return {
    check: 'decoded frames, without complaint',
    expected: plan.frames,
    found: shown.length,
    finding: shown.length === plan.frames ? undefined : `it decodes to ${shown.length} frames`,
  };
}

function checkSeams(
  { plan, timeBase }: FilmToRead,
  packets: readonly PacketHash[],
  shown: readonly number[],
): Check {
  const times = packets.map(({ pts }) => pts).sort((a, b) => a - b);
  const decoded = new Set(shown);
  const missing = plan.pieces.filter(({ firstFrame }) => !decoded.has(times[firstFrame] ?? NaN));
  const at = secondsOf(times[missing[0]?.firstFrame ?? 0] ?? 0, timeBase);
  return {
    check: 'first frames of chunks that decode, without complaint',
    expected: plan.pieces.length,
    found: plan.pieces.length - missing.length,
    finding: missing.length === 0 ? undefined : `it does not decode from ${formatClock(at)} on`,
  };
}

async function takeLists(
  { work }: FilmAttempt<ProveFilmTask>,
  { timeBase }: FilmToRead,
): Promise<{ packets: PacketHash[]; shown: number[]; audio: AudioSpan[] }> {
  const packets: PacketHash[] = [];
  await takeLines(work.directory, PACKET_LIST, (line) => {
    const packet = parsePacketHash(line);
    if (packet !== undefined) packets.push(packet);
  });
  const shown: number[] = [];
  await takeLines(work.directory, PICTURE_LIST, (line) => {
    // `0, 512, 512, 512, 384, 0x…`: the third is the time.
    if (!line.startsWith('#')) shown.push(Number(line.split(',')[2]));
  });
  const spans = new AudioSpanReader();
  await takeLines(work.directory, AUDIO_LIST, (line) => spans.add(line));
  const first = packets.reduce((least, { pts }) => Math.min(least, pts), Infinity);
  return { packets, shown, audio: spans.spans(secondsOf(first, timeBase)) };
}
