/**
 * Proves that a film is what its list says: as many frames, each at its time, in the packets that the shots'
 * units vouched for; at each cut the clip's frame that was planned; the music as long as the picture; all of it
 * decodes; and the kept lists say what the film was made from. Writes `proof.json`.
 */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256File } from '../../../kit/sha256-file.ts';
import type { MontageFilm, ProveMontageTask } from '../../../proto/gen/furrow/v1/task_montage.ts';
import { AUDIO_FRAMES_OPTIONS, AudioSpanReader, type AudioSpan } from '../film/audio-span.ts';
import { readSeal } from '../film/chunk-seal.ts';
import { containerOf } from '../film/container.ts';
import { FilmFault, oneLine, processFault } from '../film/film-fault.ts';
import { filmRunner, type FilmAttempt } from '../film/film-runner.ts';
import { takeLines } from '../film/list-file.ts';
import { decodeLimitMs, soundLimitMs } from '../film/media-limits.ts';
import {
  digestOrder,
  digestPackets,
  FRAMEHASH,
  parsePacketHash,
  type PacketHash,
} from '../film/packet-digest.ts';
import { THUMB_BYTES, THUMB_FILTER } from '../film/picture-likeness.ts';
import type { Check } from '../../../kit/proof-report.ts';
import { pictureStream, probeMedia, streamsOf, type MediaFacts } from '../film/source-facts.ts';
import { formatClock, parseTimeBase, secondsOf, type TimeBase } from '../film/timeline.ts';
import { writeProof } from '../proof-report.ts';
import { type CutList, readCutList, shotStarts } from './cut-list.ts';
import { readCsv } from './cuts-csv.ts';
import { readEdl } from './edl.ts';
import type { EditedList } from './edited-list.ts';
import { readOtio } from './otio.ts';
import { isSmall } from './picture-filters.ts';
import { pieceName, readPiece, sealFileName } from './pieces.ts';
import { plannedFrames } from './planned-frames.ts';

type ProofAttempt = FilmAttempt<ProveMontageTask>;

const PACKET_LIST = 'film-packets.txt';
const AUDIO_LIST = 'film-audio.txt';
const THUMBS = 'film-thumbs.gray';

/** Of an AAC encoder: it pads its last frame, and its lead-in shows in Matroska. */
const SOUND_TOLERANCE_SECONDS = 0.07;

export const proveMontageRunner = filmRunner('proveMontage', proveMontage);

interface FilmRead {
  readonly facts: MediaFacts;
  readonly timeBase: TimeBase;
  readonly packets: readonly PacketHash[];
  readonly audio: readonly AudioSpan[];
  readonly complaint: string | undefined;
}

async function proveMontage(attempt: ProofAttempt): Promise<void> {
  const { work, task, context } = attempt;
  const { film } = task;
  if (film === undefined) throw new FilmFault('invalid-input', 'the task has no film');
  const list = await readCutList(work.directory);
  const read = await readFilm(attempt, film, list);
  const checks: Check[] = [
    streams(film, read),
    frameCount(list, read),
    frameTimes(film, list, read),
    await chunksInOrder(attempt, list, read),
    await plannedFrames(work.directory, film, list, await readFile(join(work.directory, THUMBS))),
    soundLength(list, read),
    await decodes(attempt, list, read),
    await listsAgree(attempt, list),
    ...(film.upscale ? [await enlargedShots(attempt, film, list)] : []),
  ];
  const files = await Promise.all(
    [film.name, 'cuts.otio', 'cuts.edl', 'cuts.csv'].map(async (name) => ({
      name,
      ...(await sha256File(join(work.directory, name))),
    })),
  );
  const facts = {
    film: { width: film.width, height: film.height },
    frames: list.frames,
    rate: `${list.rate.num}/${list.rate.den}`,
    shots: list.shots.length,
    clips: new Set(list.shots.map(({ clip }) => clip)).size,
  };
  await writeProof(work.directory, { files, checks, facts });
  const fault = checks.find(({ finding }) => finding !== undefined);
  if (fault !== undefined) {
    throw new FilmFault('bad-output', `${film.name} is not proven: ${fault.finding}`);
  }
  context.progress(1, list.frames * 2, `${checks.length} checks`);
}

/** All of it is decoded: a montage is minutes. */
async function readFilm(
  { media, work, context }: ProofAttempt,
  film: MontageFilm,
  list: CutList,
): Promise<FilmRead> {
  const facts = await probeMedia(media, film.name);
  const picture = pictureStream(facts);
  const timeBase = parseTimeBase(picture?.time_base);
  if (picture === undefined || timeBase === undefined) {
    throw new FilmFault('bad-output', `${film.name} has no video`);
  }
  const hasSound = streamsOf(facts, 'audio').length > 0;
  const seconds = (list.frames * list.rate.den) / list.rate.num;
  const run = await media.ffmpeg(
    [{ name: film.name, options: ['-err_detect', 'explode', '-copyts'] }],
    [
      {
        name: { file: THUMBS },
        options: [
          ['-map', '0:v:0', '-vf', THUMB_FILTER, '-fps_mode', 'passthrough'],
          ['-enc_time_base', `${timeBase.num}/${timeBase.den}`, '-f', 'rawvideo'],
        ].flat(),
      },
      { name: { file: PACKET_LIST }, options: ['-map', '0:v:0', ...FRAMEHASH] },
      ...(hasSound ? [{ name: { file: AUDIO_LIST }, options: AUDIO_FRAMES_OPTIONS }] : []),
    ],
    ({ frame }) => context.progress(0.9 * Math.min(1, frame / list.frames), frame, 'reading'),
    {
      limitMs: decodeLimitMs(list.frames, film.width * film.height) + soundLimitMs(seconds, 1),
    },
  );
  if (!run.ok && run.result.exitCode === null) throw processFault(run, `reading ${film.name}`);
  const packets: PacketHash[] = [];
  await takeLines(work.directory, PACKET_LIST, (line) => {
    const packet = parsePacketHash(line);
    if (packet !== undefined) packets.push(packet);
  });
  const spans = new AudioSpanReader();
  await takeLines(work.directory, AUDIO_LIST, (line) => spans.add(line));
  const first = packets.reduce((least, { pts }) => Math.min(least, pts), Infinity);
  return {
    facts,
    timeBase,
    packets,
    audio: spans.spans(secondsOf(first, timeBase)),
    complaint: run.complaints[0] ?? (run.ok ? undefined : 'ffmpeg failed'),
  };
}

function streams({ width, height }: MontageFilm, { facts }: FilmRead): Check {
  const picture = pictureStream(facts);
  const [videos, sounds] = [streamsOf(facts, 'video').length, streamsOf(facts, 'audio').length];
  const expected = `1 picture of ${width}x${height}, 1 sound`;
  const found = `${videos} picture of ${picture?.width}x${picture?.height}, ${sounds} sound`;
  return {
    check: 'streams',
    expected,
    found,
    finding: expected === found ? undefined : `it has ${found}, not ${expected}`,
  };
}

function frameCount({ frames }: CutList, { packets }: FilmRead): Check {
  const found = packets.length;
  const finding = found === frames ? undefined : `it has ${found} frames, the list ${frames}`;
  return { check: 'frames', expected: frames, found, finding };
}

function frameTimes(
  film: MontageFilm,
  { rate, frames }: CutList,
  { packets, timeBase }: FilmRead,
): Check {
  const times = packets.map(({ pts }) => secondsOf(pts, timeBase)).sort((a, b) => a - b);
  // Matroska counts in milliseconds; all others in ticks of the rate.
  const isCoarse = containerOf(film.name) === 'mkv';
  const tolerance = isCoarse ? secondsOf(1, timeBase) : 1e-6;
  let worst = 0;
  let wrong = -1;
  for (let i = 0; i < Math.min(times.length, frames); i += 1) {
    const off = Math.abs(times[i]! - times[0]! - (i * rate.den) / rate.num);
    if (off > tolerance && wrong < 0) wrong = i;
    worst = Math.max(worst, off);
  }
  return {
    check: 'frame times (worst error in seconds)',
    expected: `at most ${tolerance.toFixed(6)}`,
    found: Number(worst.toFixed(6)),
    finding: wrong < 0 ? undefined : `frame ${wrong} is at ${formatClock(times[wrong]!)}`,
  };
}

/** The film's packets are the chunks' packets, in the list's order, and shown in the order they had. */
async function chunksInOrder(
  { work }: ProofAttempt,
  list: CutList,
  { packets }: FilmRead,
): Promise<Check> {
  const starts = shotStarts(list);
  let same = 0;
  let finding: string | undefined;
  for (const [shot, { frames }] of list.shots.entries()) {
    const seal = await readSeal(work.directory, sealFileName(shot));
    const stretch = packets.slice(starts[shot], starts[shot]! + frames);
    const like =
      seal.piece === pieceName(shot) &&
      seal.frames === frames &&
      digestPackets(stretch) === seal.packetsSha256 &&
      digestOrder(stretch) === seal.orderSha256;
    if (like) same += 1;
    else finding ??= `its frames from ${starts[shot]} on are not those of shot ${shot + 1}`;
  }
  return {
    check: 'shots in order, byte for byte',
    expected: list.shots.length,
    found: same,
    finding,
  };
}

function soundLength(list: CutList, { audio }: FilmRead): Check {
  const expected = (list.frames * list.rate.den) / list.rate.num;
  const [span] = audio;
  const found = span === undefined ? 0 : span.endSeconds;
  const off = Math.abs(found - expected);
  return {
    check: 'end of the music (seconds)',
    expected: Number(expected.toFixed(3)),
    found: Number(found.toFixed(3)),
    finding:
      span !== undefined && off <= SOUND_TOLERANCE_SECONDS
        ? undefined
        : `the music ends at ${formatClock(found)}, the picture at ${formatClock(expected)}`,
  };
}

async function decodes(
  { work }: ProofAttempt,
  { frames }: CutList,
  { complaint }: FilmRead,
): Promise<Check> {
  const found = (await stat(join(work.directory, THUMBS))).size / THUMB_BYTES;
  const finding =
    complaint === undefined
      ? found === frames
        ? undefined
        : `it decodes to ${found} frames`
      : `it does not decode: ${oneLine(complaint)}`;
  return { check: 'decoded frames, without complaint', expected: frames, found, finding };
}

/** Shots whose clip is smaller than what it fills of the film went through the model, and no others. */
async function enlargedShots(
  { work }: ProofAttempt,
  film: MontageFilm,
  { shots }: CutList,
): Promise<Check> {
  const [expected, found]: [string[], string[]] = [[], []];
  for (const index of shots.keys()) {
    const { picture } = await readPiece(work.directory, index);
    if (isSmall(film, picture)) expected.push(String(index + 1));
    const seal = await readSeal(work.directory, sealFileName(index));
    if (seal.enlarged === true) found.push(String(index + 1));
  }
  const [wanted, seen] = [expected, found].map((numbers) => numbers.join(' ') || 'none');
  return {
    check: 'shots that went through the model',
    expected: wanted!,
    found: seen!,
    finding: wanted === seen ? undefined : `the model made shots ${seen} larger, not ${wanted}`,
  };
}

/** What is handed over as a list says the same cuts as the film has, whichever form is read. */
async function listsAgree({ work }: ProofAttempt, list: CutList): Promise<Check> {
  const readers: readonly [string, (text: string) => EditedList][] = [
    ['cuts.otio', (text) => readOtio(text, list.rate)],
    ['cuts.edl', (text) => readEdl(text, list.rate)],
    ['cuts.csv', (text) => readCsv(text, list.rate)],
  ];
  let finding: string | undefined;
  for (const [name, read] of readers) {
    const { shots } = read(await readFile(join(work.directory, name), 'utf8'));
    const like = list.shots.every((shot, index) => {
      const said = shots[index];
      const clip = list.clips[shot.clip]!;
      return (
        said !== undefined &&
        said.clip === clip.name &&
        said.from - (said.fromIsTimecode ? clip.startFrames : 0) === shot.from &&
        said.frames === shot.frames &&
        said.speedPercent === shot.speedPercent &&
        said.transition === shot.transition &&
        said.transitionFrames === shot.transitionFrames
      );
    });
    if (!like || shots.length !== list.shots.length) finding ??= `${name} says other cuts`;
  }
  return {
    check: 'lists that say the film',
    expected: readers.length,
    found: finding === undefined ? readers.length : 'fewer',
    finding,
  };
}
