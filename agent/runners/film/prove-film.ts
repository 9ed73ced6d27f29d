/**
 * Proves that a film is what the plan and the seals say: every frame of the source, once, in order, at
 * its time, in the packets that the encoders vouched for; that it decodes (see `decode-proof.ts` for
 * how much of it); and that audio begins and ends where it did. Writes `proof.json`; the first finding ends the unit as `bad-output`.
 */
import type { Check } from '../../../kit/proof-report.ts';
import type { ProveFilmTask } from '../../../proto/gen/furrow/v1/task.ts';
import { firstFinding, provenFile } from '../proof-report.ts';
import { readAudioFacts } from './audio-facts.ts';
import {
  audioChecks,
  AUDIO_FRAMES_OPTIONS,
  AudioSpanReader,
  type AudioSpan,
} from './audio-span.ts';
import { carriedChecks } from './carried-proof.ts';
import { aimChecks } from './aim-proof.ts';
import { readSeal, type ChunkSeal } from './chunk-seal.ts';
import { containerOf } from './container.ts';
import { readFilm } from './decode-proof.ts';
import { FilmFault, processFault } from './film-fault.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';
import { filmFrameCount, filmPieces, filmTimeline } from './film-frames.ts';
import { readPlan, sealName, type FilmPlan } from './film-plan.ts';
import { digestOrder, digestPackets, type PacketHash } from './packet-digest.ts';
import { writeProof } from './proof-report.ts';
import { soundLimitMs } from './media-limits.ts';
import { timecodeCheck, wantedTimecode } from './timecode.ts';
import { pictureChecks } from './picture-proof.ts';
import {
  pictureStream,
  probeWithChapters,
  type MediaFacts,
  type MediaStream,
} from './source-facts.ts';
import { formatClock, parseTimeBase, secondsOf, type TimeBase } from './timeline.ts';

type ProofAttempt = FilmAttempt<ProveFilmTask>;

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
  const seals = await readSeals(attempt, plan);
  const known = { plan, facts: film, picture, timeBase: base, seals };
  const [{ packets, decoded, audio }, proven] = await Promise.all([
    readFilm(attempt, known),
    provenFile(work.directory, task.film),
  ]);
  const leadSeconds = audioLead(task.film, audio);
  const checks: Check[] = [
    frameCount(plan, packets),
    ...frameTimesAndDuration(plan, film, packets, base, leadSeconds),
    chunksInOrder(plan, seals, packets, picture),
    decoded,
    ...(await aimChecks(work.directory, plan, packets)),
    ...(await pictureChecks(attempt.media, task.film, seals)),
  ];
  if (plan.source.audioTracks > 0) {
    const source = await sourceAudio(attempt, plan);
    checks.push(...audioChecks(source, audio, frameSeconds(plan), leadSeconds));
  }
  const timecode = wantedTimecode(plan, task.timecode === true);
  if (timecode !== undefined) checks.push(timecodeCheck(film, timecode));
  if (task.source !== '') checks.push(...(await carriedChecks(attempt, plan, film)));
  const report = task.report || task.branch?.proof || undefined;
  await writeProof(work.directory, proven, picture, plan, seals, checks, report);
  for (const { finding } of checks) if (finding !== undefined) context.log(finding);
  const finding = firstFinding(checks);
  if (finding !== undefined) {
    throw new FilmFault('bad-output', `${task.film} is not proven: ${finding}`);
  }
  context.progress(1, filmFrameCount(plan) * 2, `${checks.length} checks`);
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
    return await probeWithChapters(media, task.film);
  } catch (error) {
    if (!(error instanceof FilmFault)) throw error;
    throw new FilmFault('bad-output', error.message);
  }
}

function frameCount(plan: FilmPlan, packets: readonly PacketHash[]): Check {
  const found = packets.length;
  const expected = filmFrameCount(plan);
  const should = plan.film === undefined ? 'the source' : 'not';
  return {
    check: 'frames',
    expected,
    found,
    finding: found === expected ? undefined : `it has ${found} frames, ${should} ${expected}`,
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
  const { times, timeBase, lastFrameTicks } = filmTimeline(plan);
  const delay = plan.videoDelayUs / 1e6;
  const at = packets.map((packet) => secondsOf(packet.pts, base)).sort((a, b) => a - b);
  const wanted = times.map((time) => secondsOf(time - times[0]!, timeBase) + delay);
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
  const last = secondsOf(lastFrameTicks, timeBase);
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

async function readSeals({ work }: ProofAttempt, plan: FilmPlan): Promise<ChunkSeal[]> {
  return Promise.all(plan.pieces.map((piece) => readSeal(work.directory, sealName(piece))));
}

/** The film's packets are the chunks' packets, in the plan's order, and shown in the order they had. */
function chunksInOrder(
  plan: FilmPlan,
  seals: readonly ChunkSeal[],
  packets: readonly PacketHash[],
  picture: MediaStream,
): Check {
  let same = 0;
  let shownUntil = -Infinity;
  let finding: string | undefined;
  for (const [i, piece] of filmPieces(plan).entries()) {
    const seal = seals[i]!;
    const stretch = packets.slice(piece.firstFrame, piece.firstFrame + piece.frames);
    const times = stretch.map(({ pts }) => pts);
    const like =
      least(times) > shownUntil &&
      seal.piece === piece.name &&
      seal.frames === piece.frames &&
      digestPackets(stretch) === seal.packetsSha256 &&
      (seal.orderSha256 === undefined || digestOrder(stretch) === seal.orderSha256);
    shownUntil = -least(times.map((pts) => -pts));
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

function least(values: readonly number[]): number {
  return values.reduce((low, value) => Math.min(low, value), Infinity);
}

/** Counted from the container's start and so from the plan's delay, as ffmpeg does here. */
async function sourceAudio(
  { media, work, task }: ProofAttempt,
  plan: FilmPlan,
): Promise<AudioSpan[]> {
  const delay = plan.videoDelayUs / 1e6;
  const known = await readAudioFacts(work.directory);
  if (known !== undefined) {
    return known.source.map((span) => ({
      ...span,
      startSeconds: span.startSeconds - delay,
      endSeconds: span.endSeconds - delay,
    }));
  }
  const reader = new AudioSpanReader();
  const seconds = frameSeconds(plan) * filmFrameCount(plan);
  const run = await media.ffmpegLines(
    [{ name: task.source }],
    AUDIO_FRAMES_OPTIONS,
    (line) => reader.add(line),
    { limitMs: soundLimitMs(seconds, plan.source.audioTracks) },
  );
  if (!run.ok) throw processFault(run, `audio of ${task.source}`);
  return reader.spans(delay);
}

/** Length of a frame on average. */
function frameSeconds(plan: FilmPlan): number {
  const { times, timeBase, lastFrameTicks } = filmTimeline(plan);
  return secondsOf(times.at(-1)! - times[0]! + lastFrameTicks, timeBase) / times.length;
}
