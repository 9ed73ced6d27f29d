/**
 * Proves that a film is what the plan and the seals say: every frame of the source, once, in order, at
 * its time, in the packets that the encoders vouched for; that all of it decodes; and that audio
 * begins and ends where it did. Writes `proof.json`; the first finding ends the unit as `bad-output`.
 */
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { ProveFilmTask } from '../../../proto/gen/furrow/v1/task.ts';
import {
  audioChecks,
  AUDIO_FRAMES_OPTIONS,
  AudioSpanReader,
  type AudioSpan,
} from './audio-span.ts';
import { readSeal } from './chunk-seal.ts';
import { containerOf } from './container.ts';
import { FilmFault, filmRunner, oneLine, processFault, type FilmAttempt } from './film-fault.ts';
import { readPlan, sealName, type FilmPlan } from './film-plan.ts';
import { digestPackets, FRAMEHASH, parsePacketHash, type PacketHash } from './packet-digest.ts';
import { writeProof, type Check } from './proof-report.ts';
import {
  pictureStream,
  probeMedia,
  streamsOf,
  type MediaFacts,
  type MediaStream,
} from './source-facts.ts';
import { formatClock, parseTimeBase, secondsOf, unpackTimes, type TimeBase } from './timeline.ts';

type ProofAttempt = FilmAttempt<ProveFilmTask>;

/** Decoded audio frames of the film, listed. */
const AUDIO_LIST = 'audio-frames.txt';

export const proveFilmRunner = filmRunner('proveFilm', proveFilm);

async function proveFilm(attempt: ProofAttempt): Promise<void> {
  const { work, task, context } = attempt;
  const plan = await readPlan(work.directory);
  const film = await probeFilm(attempt);
  const picture = pictureStream(film);
  const base = parseTimeBase(picture?.time_base);
  if (picture === undefined || base === undefined) {
    throw new FilmFault('bad-output', `${task.film} has no video`);
  }
  const packets = await readFilmPackets(attempt);
  const decoded = await decodeAll(attempt, plan, film, base);
  const first = packets.reduce((least, { pts }) => Math.min(least, pts), Infinity);
  const audio = await filmAudio(attempt, film, secondsOf(first, base));
  const leadSeconds = audioLead(task.film, audio);
  const checks: Check[] = [
    frameCount(plan, packets),
    ...frameTimesAndDuration(plan, film, packets, base, leadSeconds),
    await seamsAndOrder(attempt, plan, packets, picture),
    decoded,
  ];
  if (plan.source.audioTracks > 0) {
    const source = await sourceAudio(attempt, plan);
    checks.push(...audioChecks(source, audio, frameSeconds(plan), leadSeconds));
  }
  await writeProof(work.directory, task.film, picture, plan, checks);
  const fault = checks.find((check) => check.finding !== undefined);
  if (fault !== undefined) {
    throw new FilmFault('bad-output', `${task.film} is not proven: ${fault.finding}`);
  }
  context.progress(1, plan.frames * 2, `${checks.length} checks`);
}

/**
 * MP4 hides the lead-in of an audio encoder behind an edit list. Matroska begins with it, so that the
 * picture comes that much later and the audio seems to begin early: both are as they should be.
 */
function audioLead(film: string, audio: readonly AudioSpan[]): number {
  const container = containerOf(film);
  return container === 'mkv' || container === 'webm'
    ? Math.max(0, ...audio.map((span) => span.codecFrameSeconds))
    : 0;
}

/** A film that cannot be opened is our fault, not the source's. */
async function probeFilm({ media, task }: ProofAttempt): Promise<MediaFacts> {
  try {
    return await probeMedia(media, task.film);
  } catch (error) {
    if (!(error instanceof FilmFault)) throw error;
    throw new FilmFault('bad-output', error.message);
  }
}

async function readFilmPackets({ media, task, context }: ProofAttempt): Promise<PacketHash[]> {
  const packets: PacketHash[] = [];
  const run = await media.ffmpegLines(
    [{ name: task.film, options: ['-copyts'] }],
    ['-map', '0:v:0', ...FRAMEHASH],
    (line) => {
      const packet = parsePacketHash(line);
      if (packet === undefined) return;
      packets.push(packet);
      if (packets.length % 2000 === 0) context.progress(0.1, packets.length, 'reading');
    },
  );
  if (!run.ok) throw processFault(run, `reading ${task.film}`);
  return packets;
}

function frameCount(plan: FilmPlan, packets: readonly PacketHash[]): Check {
  const found = packets.length;
  return {
    check: 'frames',
    expected: plan.frames,
    found,
    finding:
      found === plan.frames ? undefined : `it has ${found} frames, the source ${plan.frames}`,
  };
}

/** Every frame where the source has it, to the film's own tick; and the film as long as the source. */
function frameTimesAndDuration(
  plan: FilmPlan,
  film: MediaFacts,
  packets: readonly PacketHash[],
  base: TimeBase,
  leadSeconds: number,
): Check[] {
  const times = unpackTimes(plan.times);
  const delay = plan.videoDelayUs / 1e6;
  const at = packets.map((packet) => secondsOf(packet.pts, base)).sort((a, b) => a - b);
  const wanted = times.map((time) => secondsOf(time - times[0]!, plan.timeBase) + delay);
  // A container that cannot go below 0 moves everything alike; then the audio has moved as well.
  const shift = (at[0] ?? 0) - (wanted[0] ?? 0);
  const tolerance = secondsOf(1, base) + 2e-6;
  let worst = 0;
  let wrong = -1;
  for (let i = 0; i < Math.min(at.length, wanted.length); i += 1) {
    const off = Math.abs(at[i]! - shift - wanted[i]!);
    if (off > tolerance && wrong < 0) wrong = i;
    worst = Math.max(worst, off);
  }
  const frame = frameSeconds(plan);
  const last = secondsOf(plan.lastFrameTicks, plan.timeBase);
  const expected = wanted.at(-1)! - wanted[0]! + last;
  const found = at.length === 0 ? 0 : at.at(-1)! - at[0]! + last;
  const container = Number(film.format.duration ?? 0);
  const longEnough = container + tolerance >= expected - Math.max(frame, last);
  return [
    {
      check: 'frame times (worst error in seconds)',
      expected: `at most ${tolerance.toFixed(6)}`,
      found: Number(worst.toFixed(6)),
      finding:
        wrong < 0
          ? undefined
          : `frame ${wrong} is at ${formatClock(at[wrong]!)}, not ${formatClock(wanted[wrong]!)}`,
    },
    {
      check: 'start of the picture (seconds)',
      expected: Number(delay.toFixed(6)),
      found: Number((delay + shift).toFixed(6)),
      finding:
        Math.abs(shift) <= frame + leadSeconds + tolerance
          ? undefined
          : `the picture begins ${shift.toFixed(3)} s off`,
    },
    {
      check: 'duration of the picture (seconds)',
      expected: Number(expected.toFixed(6)),
      found: Number(found.toFixed(6)),
      finding:
        Math.abs(found - expected) <= frame + tolerance && longEnough
          ? undefined
          : `it lasts ${formatClock(Math.min(found, container))}, the source ${formatClock(expected)}`,
    },
  ];
}

/** The film's packets are the chunks' packets, in the plan's order, under one header. */
async function seamsAndOrder(
  { work }: ProofAttempt,
  plan: FilmPlan,
  packets: readonly PacketHash[],
  picture: MediaStream,
): Promise<Check> {
  let same = 0;
  let finding: string | undefined;
  for (const piece of plan.pieces) {
    const seal = await readSeal(work.directory, sealName(piece));
    const stretch = packets.slice(piece.firstFrame, piece.firstFrame + piece.frames);
    const like =
      seal.piece === piece.name &&
      seal.frames === piece.frames &&
      digestPackets(stretch) === seal.packetsSha256;
    if (like) same += 1;
    else {
      finding ??= `frames ${piece.firstFrame} to ${piece.firstFrame + piece.frames - 1} are not those of ${piece.name}`;
    }
    if (picture.width !== seal.width || picture.height !== seal.height) {
      finding ??= `its picture is ${picture.width}x${picture.height}, not ${seal.width}x${seal.height}`;
    }
  }
  return {
    check: 'chunks in order, byte for byte',
    expected: plan.pieces.length,
    found: same,
    finding,
  };
}

/** Decodes everything once: each frame must come, without a single complaint. */
async function decodeAll(
  { media, task, context }: ProofAttempt,
  plan: FilmPlan,
  film: MediaFacts,
  base: TimeBase,
): Promise<Check> {
  let frames = 0;
  const audio = streamsOf(film, 'audio').length > 0;
  const run = await media.ffmpeg(
    [{ name: task.film, options: ['-err_detect', 'explode', '-noautorotate', '-copyts'] }],
    [
      {
        name: 'null',
        options: [
          ['-map', '0:v:0', '-fps_mode', 'passthrough', '-f', 'null'],
          // In ticks of the film: a guessed frame rate would press two frames into one tick.
          ['-enc_time_base', `${base.num}/${base.den}`],
        ].flat(),
      },
      ...(audio ? [{ name: { file: AUDIO_LIST }, options: AUDIO_FRAMES_OPTIONS }] : []),
    ],
    (block) => {
      frames = block.frame;
      const share = Math.min(1, frames / plan.frames);
      context.progress(0.1 + 0.85 * share, plan.frames + frames, 'decoding');
    },
  );
  if (!run.ok && run.result.exitCode === null) throw processFault(run, `decoding ${task.film}`);
  const complaint = run.complaints[0] ?? (run.ok ? undefined : 'ffmpeg failed');
  const count = frames === plan.frames ? undefined : `it decodes to ${frames} frames`;
  return {
    check: 'decoded frames, without complaint',
    expected: plan.frames,
    found: frames,
    finding: complaint === undefined ? count : `it does not decode: ${oneLine(complaint)}`,
  };
}

async function filmAudio(
  { work }: ProofAttempt,
  film: MediaFacts,
  pictureSeconds: number,
): Promise<AudioSpan[]> {
  if (streamsOf(film, 'audio').length === 0) return [];
  const reader = new AudioSpanReader();
  const path = join(work.directory, AUDIO_LIST);
  for await (const line of createInterface({ input: createReadStream(path) })) reader.add(line);
  await rm(path);
  return reader.spans(pictureSeconds);
}

/** ffmpeg counts from the container's start here, as the plan's delay does. */
async function sourceAudio({ media, task }: ProofAttempt, plan: FilmPlan): Promise<AudioSpan[]> {
  const reader = new AudioSpanReader();
  const run = await media.ffmpegLines([{ name: task.source }], AUDIO_FRAMES_OPTIONS, (line) =>
    reader.add(line),
  );
  if (!run.ok) throw processFault(run, `audio of ${task.source}`);
  return reader.spans(plan.videoDelayUs / 1e6);
}

/** Length of a frame on average. */
function frameSeconds(plan: FilmPlan): number {
  const times = unpackTimes(plan.times);
  const ticks = times.at(-1)! - times[0]! + plan.lastFrameTicks;
  return secondsOf(ticks, plan.timeBase) / plan.frames;
}
