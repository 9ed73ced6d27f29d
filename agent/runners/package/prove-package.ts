/**
 * Proves a package: playlists, manifest and indexes are read anew and held against one another and the plan; each
 * file has just the packets of the film that it was made of, each at its time, under the same codec header, so that
 * what was proven of the film holds for it; and a segment behind its header decodes by itself. Writes
 * `NAME/proof.json`.
 */
import { createHash } from 'node:crypto';
import { open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Check, ProvenFile } from '../../../kit/proof-report.ts';
import type { ProvePackageTask } from '../../../proto/gen/furrow/v1/task_package.ts';
import { FilmFault, oneLine, processFault } from '../film/film-fault.ts';
import { filmPieces, filmTimeline } from '../film/film-frames.ts';
import { readPlan, type FilmPlan } from '../film/film-plan.ts';
import { filmRunner, type FilmAttempt } from '../film/film-runner.ts';
import { decodeLimitMs } from '../film/media-limits.ts';
import { FRAMEHASH, parsePacketHash, parseStreamHeader } from '../film/packet-digest.ts';
import { probeMedia, type MediaStream } from '../film/source-facts.ts';
import { secondsOf } from '../film/timeline.ts';
import { firstFinding, provenFile, writeProof } from '../proof-report.ts';
import { pictureFile, soundFile, subtitleFile } from './layout.ts';
import { filmsThere, refuseUnsafeFolder, tracksTaken } from './package-films.ts';
import { addressChecks, type PackageFiles } from './address-proof.ts';
import { readIndex, type ReadIndex } from './read-index.ts';

type ProofAttempt = FilmAttempt<ProvePackageTask>;

export const provePackageRunner = filmRunner('provePackage', async (attempt) => {
  const { work, task, context } = attempt;
  refuseUnsafeFolder(task);
  const plan = await readPlan(work.directory);
  const films = await filmsThere(attempt, task.films);
  const pictures = new Map<string, ReadIndex>();
  const sounds = new Map<string, ReadIndex>();
  const texts: string[] = [];
  const checks: Check[] = [];
  for (const [i, { film, lines }] of films.entries()) {
    const taken = tracksTaken(film, await probeMedia(attempt.media, film), i === 0);
    const file = pictureFile(lines);
    const index = await readIndex(join(work.directory, task.name, file), file);
    pictures.set(file, index);
    checks.push(samePackets(file, ...(await bothDigests(attempt, film, taken.picture, file))));
    checks.push(await aloneCheck(attempt, plan, file, index));
    for (const [track, sound] of taken.sounds.entries()) {
      const name = soundFile(track);
      sounds.set(name, await readIndex(join(work.directory, task.name, name), name));
      checks.push(samePackets(name, ...(await bothDigests(attempt, film, sound, name))));
    }
    texts.push(...taken.subtitles.map((_, track) => subtitleFile(track)));
    context.progress((i + 1) / films.length, i + 1, `${i + 1} of ${films.length} films`);
  }
  const files: PackageFiles = { pictures, sounds, texts, ...filmLength(plan, pictures) };
  checks.push(...segmentChecks(plan, files));
  checks.push(...(await addressChecks(join(work.directory, task.name), task.packaging, files)));
  for (const name of texts) checks.push(textCheck(name, await readText(attempt, name), files));
  await report(attempt, plan, checks, files);
});

async function report(
  { work, task }: ProofAttempt,
  plan: FilmPlan,
  checks: readonly Check[],
  { pictures, sounds, texts, seconds }: PackageFiles,
): Promise<void> {
  const files: ProvenFile[] = [];
  for (const name of (await readdir(join(work.directory, task.name))).toSorted()) {
    files.push(await provenFile(work.directory, `${task.name}/${name}`));
  }
  const facts = {
    films: pictures.size,
    sounds: sounds.size,
    subtitles: texts.length,
    segments: plan.pieces.length,
    seconds: Number(seconds.toFixed(6)),
  };
  await writeProof(work.directory, { files, checks, facts, name: `${task.name}/proof.json` });
  const finding = firstFinding(checks);
  if (finding !== undefined) throw new FilmFault('bad-output', `not proven: ${finding}`);
}

const readText = ({ work, task }: ProofAttempt, name: string): Promise<string> =>
  readFile(join(work.directory, task.name, name), 'utf8').catch(() => '');

/** The film's clock begins where its sound or its picture does. */
function filmLength(
  plan: FilmPlan,
  pictures: ReadonlyMap<string, ReadIndex>,
): { readonly seconds: number; readonly startSeconds: number } {
  const { times, timeBase, lastFrameTicks } = filmTimeline(plan);
  const startSeconds = [...pictures.values()][0]!.startSeconds;
  const length = secondsOf(times.at(-1)! - times[0]! + lastFrameTicks, timeBase);
  return { seconds: startSeconds + length, startSeconds };
}

interface StreamDigest {
  readonly packets: number;
  /** Over codec header, size and time of each packet, and its bytes. */
  readonly digest: string;
}

/** Of the stream in the film, and of the only one of the package's file. */
async function bothDigests(
  attempt: ProofAttempt,
  film: string,
  stream: MediaStream,
  file: string,
): Promise<[StreamDigest, StreamDigest]> {
  const path = `${attempt.task.name}/${file}`;
  return [
    await digestOf(attempt, film, `0:${stream.index}`, []),
    await digestOf(attempt, path, '0:0', ['-copyts']),
  ];
}

async function digestOf(
  { media }: ProofAttempt,
  name: string,
  stream: string,
  options: readonly string[],
): Promise<StreamDigest> {
  const digest = createHash('sha256');
  const head: string[] = [];
  let packets = 0;
  const take = (line: string): void => {
    const packet = parsePacketHash(line);
    if (packet === undefined) head.push(line);
    else {
      packets += 1;
      digest.update(`${packet.pts} ${packet.sizeBytes} ${packet.hash}\n`);
    }
  };
  const run = await media.ffmpegLines([{ name, options }], ['-map', stream, ...FRAMEHASH], take);
  if (!run.ok) throw processFault(run, `reading ${name}`);
  const clock = head.find((line) => line.startsWith('#tb 0:')) ?? '';
  digest.update(`${clock} ${JSON.stringify(parseStreamHeader(head))}`);
  return { packets, digest: digest.digest('hex') };
}

function samePackets(file: string, film: StreamDigest, made: StreamDigest): Check {
  const finding =
    film.packets !== made.packets
      ? `${file} has ${made.packets} packets, its film ${film.packets}`
      : film.digest === made.digest
        ? undefined
        : `${file} has other packets, times or headers than its film`;
  const check = `packets of ${file}, as in the film, each at its time`;
  return { check, expected: film.packets, found: made.packets, finding };
}

const ALONE = 'alone.part';

/** Header and one segment from the middle: what a player has after a seek. */
async function aloneCheck(
  { media, work, task }: ProofAttempt,
  plan: FilmPlan,
  file: string,
  { track, headerBytes, segments }: ReadIndex,
): Promise<Check> {
  const at = Math.floor(segments.length / 2);
  const segment = segments[at];
  const wanted = filmPieces(plan)[at]?.frames ?? 0;
  const from = await open(join(work.directory, task.name, file), 'r');
  const bytes = Buffer.alloc(headerBytes + (segment?.bytes ?? 0));
  try {
    await from.read(bytes, 0, headerBytes, 0);
    await from.read(bytes, headerBytes, bytes.length - headerBytes, segment?.start ?? 0);
  } finally {
    await from.close();
  }
  const alone = join(work.directory, ALONE);
  await writeFile(alone, bytes);
  let frames = 0;
  const run = await media.ffmpegLines(
    [{ name: ALONE, options: ['-err_detect', 'explode', '-copyts'] }],
    ['-map', '0:v:0', '-fps_mode', 'passthrough', '-vf', 'scale=16:16', '-f', 'framecrc'],
    (line) => {
      if (!line.startsWith('#')) frames += 1;
    },
    { limitMs: decodeLimitMs(wanted, track.width * track.height) },
  );
  await rm(alone);
  const complaint = run.complaints[0] ?? (run.ok ? undefined : 'ffmpeg failed');
  const what = `segment ${at + 1} of ${file}`;
  const finding =
    complaint !== undefined
      ? `${what} does not decode by itself: ${oneLine(complaint)}`
      : frames === wanted
        ? undefined
        : `${what} decodes to ${frames} frames by itself, not ${wanted}`;
  return { check: `frames of ${what}, by itself`, expected: wanted, found: frames, finding };
}

/** Frames of all films begin segments together, and what is shown lasts as long as the film. */
function segmentChecks(
  plan: FilmPlan,
  { pictures, sounds, seconds, startSeconds }: PackageFiles,
): Check[] {
  const { times, timeBase } = filmTimeline(plan);
  const starts = filmPieces(plan).map(({ firstFrame }) =>
    secondsOf(times[firstFrame]! - times[0]!, timeBase),
  );
  const checks = [...pictures].map(([file, index]): Check => {
    const { segments, track } = index;
    let at = 0;
    const astray = segments.findIndex((segment, i) => {
      const isThere = Math.abs(at - (starts[i] ?? Infinity)) <= 1 / track.timescale + 1e-6;
      at += segment.seconds;
      return !isThere;
    });
    const isWhole = segments.length === starts.length && astray < 0;
    const isLong = Math.abs(startSeconds + at - seconds) <= 0.001 + 1 / track.timescale;
    const finding = !isWhole
      ? `segments of ${file} do not begin where its chunks do`
      : isLong && Math.abs(index.startSeconds - startSeconds) < 1e-3
        ? undefined
        : `segments of ${file} last ${at.toFixed(3)} s, the film ${(seconds - startSeconds).toFixed(3)} s`;
    return {
      check: `segments of ${file}`,
      expected: starts.length,
      found: segments.length,
      finding,
    };
  });
  for (const [file, { segments }] of sounds) {
    const bare = segments.length === 0 || segments.some((segment) => segment.ticks === 0);
    const finding = bare ? `${file} has a segment without sound` : undefined;
    checks.push({
      check: `segments of ${file}`,
      expected: 'some',
      found: segments.length,
      finding,
    });
  }
  return checks;
}

const CUE = /^(?:(\d+):)?(\d\d):(\d\d\.\d{3}) --> (?:(\d+):)?(\d\d):(\d\d\.\d{3})/gm;

function textCheck(name: string, text: string, { seconds }: PackageFiles): Check {
  const cues = [...text.matchAll(CUE)].map((cue) => {
    const [from, to] = [1, 4].map(
      (i) => Number(cue[i] ?? 0) * 3600 + Number(cue[i + 1]) * 60 + Number(cue[i + 2]),
    );
    return { from: from!, to: to! };
  });
  const isOrdered = cues.every(
    ({ from, to }, i) => to >= from && from >= (cues[i - 1]?.from ?? 0) && from <= seconds,
  );
  const finding = text.startsWith('WEBVTT\n')
    ? isOrdered
      ? undefined
      : `${name} has cues out of order or beyond the film`
    : `${name} is no WebVTT`;
  return { check: `cues of ${name}, in order`, expected: cues.length, found: cues.length, finding };
}
