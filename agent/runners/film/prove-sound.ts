/**
 * Proves sound files: every track is there, decodes without a complaint to the samples that were counted when it
 * was made (to the last bit, where nothing is lost), and is as loud as was asked for. Writes `proof.json`.
 */
import type { Check, ProvenFile } from '../../../kit/proof-report.ts';
import { firstFinding, provenFile, writeProof } from '../proof-report.ts';
import { FilmFault } from './film-fault.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';
import { takeLines } from './list-file.ts';
import { LOUDNESS_TOLERANCE_LU, measureLoudness } from './loudness.ts';
import { readMadeSound, type MadeSound, type MadeTrack } from './made-sound.ts';
import { soundLimitMs } from './media-limits.ts';
import { probeSound, streamsOf, type MediaFacts } from './source-facts.ts';

type SoundFile = MadeSound['files'][number];

const SAMPLES = 'decoded.txt';
const MD5 = 'decoded.md5';

/** Above the wanted peak: the meter's last digit, and what a coder that loses something adds. */
const PEAK_TOLERANCE_DB = 0.1;
const LOSSY_PEAK_TOLERANCE_DB = 1;

export const proveSoundRunner = filmRunner('proveSound', async (attempt) => {
  const { work, task } = attempt;
  const made = await readMadeSound(work.directory);
  const checks: Check[] = [];
  const files: ProvenFile[] = [];
  for (const file of made.files) {
    checks.push(...(await fileChecks(attempt, file)));
    files.push(await provenFile(work.directory, file.name));
  }
  const first = made.files[0]!.tracks[0]!;
  const facts = {
    source: { name: task.source },
    sound: {
      codec: first.codec,
      channels: first.channels,
      sampleRate: first.sampleRate,
      seconds: Number((first.samples / first.sampleRate).toFixed(6)),
    },
  };
  await writeProof(work.directory, { files, checks, facts });
  const finding = firstFinding(checks);
  if (finding !== undefined) throw new FilmFault('bad-output', `not proven: ${finding}`);
});

async function fileChecks(attempt: FilmAttempt<unknown>, file: SoundFile): Promise<Check[]> {
  const { media } = attempt;
  const { name } = file;
  const facts = await probeSound(media, name).catch((error: unknown) => {
    throw error instanceof FilmFault ? new FilmFault('bad-output', error.message) : error;
  });
  const found = streamsOf(facts, 'audio').length;
  const tracks: Check = {
    check: `tracks in ${name}`,
    expected: file.tracks.length,
    found,
    finding:
      found === file.tracks.length
        ? undefined
        : `${name} has ${found} tracks, not ${file.tracks.length}`,
  };
  const checks = [tracks];
  for (const [i, track] of file.tracks.slice(0, found).entries()) {
    checks.push(...(await trackChecks(attempt, name, facts, track, i)));
  }
  return checks;
}

async function trackChecks(
  attempt: FilmAttempt<unknown>,
  name: string,
  facts: MediaFacts,
  track: MadeTrack,
  i: number,
): Promise<Check[]> {
  const { media, work, context } = attempt;
  const which = `track ${track.number} in ${name}`;
  const stream = streamsOf(facts, 'audio')[i]!;
  const limitMs = soundLimitMs(track.samples / track.sampleRate, 1);
  const map = ['-map', `0:a:${i}`];
  const isExact = track.md5 !== undefined;
  const format =
    stream.bits_per_raw_sample === '24' || stream.codec_name === 'pcm_s24le'
      ? 'pcm_s24le'
      : 'pcm_s16le';
  const run = await media.ffmpeg(
    [{ name, sound: true, options: ['-err_detect', 'explode'] }],
    [
      { name: { file: SAMPLES }, options: [...map, '-c:a', 'pcm_s16le', '-f', 'framecrc'] },
      ...(isExact ? [{ name: { file: MD5 }, options: [...map, '-c:a', format, '-f', 'md5'] }] : []),
    ],
    ({ outTimeUs }) => context.progress(0.5, Math.max(0, outTimeUs), which),
    { limitMs },
  );
  let samples = 0;
  await takeLines(work.directory, SAMPLES, (line) => {
    const length = Number(line.split(',')[3]);
    if (!line.startsWith('#') && Number.isFinite(length)) samples += length;
  });
  let md5 = '';
  await takeLines(work.directory, MD5, (line) => {
    md5 = line.trim();
  });
  const complaint = run.complaints[0] ?? (run.ok ? undefined : 'ffmpeg failed');
  const off = samples - track.samples;
  const checks: Check[] = [
    {
      check: `samples of ${which}, decoded without complaint`,
      expected:
        track.slackSamples === 0 ? track.samples : `${track.samples} ±${track.slackSamples}`,
      found: samples,
      finding:
        complaint !== undefined
          ? `${which} does not decode: ${complaint}`
          : Math.abs(off) <= track.slackSamples
            ? undefined
            : `${which} has ${samples} samples, not ${track.samples}`,
    },
    ...formChecks(which, track, stream),
  ];
  if (isExact) {
    const finding = md5 === track.md5 ? undefined : `${which} is not what went into its coder`;
    checks.push({ check: `every sample of ${which}`, expected: track.md5!, found: md5, finding });
  }
  if (track.loudness === undefined || track.loudness.isSilent) return checks;
  return [...checks, ...(await loudnessChecks(attempt, name, track, i, limitMs))];
}

function formChecks(
  which: string,
  track: MadeTrack,
  stream: { readonly channels?: number | undefined; readonly sample_rate?: string | undefined },
): Check[] {
  const expected = `${track.channels} channels, ${track.sampleRate} Hz`;
  const found = `${stream.channels} channels, ${stream.sample_rate} Hz`;
  // Opus decodes at 48 kHz whatever it was made of.
  const same =
    found === expected || (track.codec === 'libopus' && stream.channels === track.channels);
  return [
    {
      check: `form of ${which}`,
      expected,
      found,
      finding: same ? undefined : `${which} has ${found}`,
    },
  ];
}

async function loudnessChecks(
  attempt: FilmAttempt<unknown>,
  name: string,
  { number, loudness, md5 }: MadeTrack,
  i: number,
  limitMs: number,
): Promise<Check[]> {
  if (loudness === undefined) return [];
  const which = `track ${number} in ${name}`;
  const { targetLufs, truePeakDbtp } = loudness;
  const heard = await measureLoudness(attempt, { name, sound: true }, `0:a:${i}`, [], limitMs);
  const found = Number((heard.lufs ?? -70).toFixed(2));
  const peak = Number(heard.truePeakDbtp.toFixed(2));
  const tolerance = md5 === undefined ? LOSSY_PEAK_TOLERANCE_DB : PEAK_TOLERANCE_DB;
  return [
    {
      check: `loudness of ${which} (LUFS)`,
      expected: `${targetLufs} ±${LOUDNESS_TOLERANCE_LU}`,
      found,
      finding:
        Math.abs(found - targetLufs) <= LOUDNESS_TOLERANCE_LU
          ? undefined
          : `${which} has ${found} LUFS, not ${targetLufs}: its peaks leave no room; ask for a lower loudness`,
    },
    {
      check: `true peak of ${which} (dBTP)`,
      expected: `at most ${truePeakDbtp} +${tolerance}`,
      found: peak,
      finding:
        peak <= truePeakDbtp + tolerance
          ? undefined
          : `${which} peaks at ${peak} dBTP, above ${truePeakDbtp}`,
    },
  ];
}
