/**
 * Brings one clip to the form of the film that it goes into: size, rate, pixels and colours of its picture, and
 * exactly as much sound as its frames last, silence where it has none. It becomes a chunk of the film, vouched for
 * like every other.
 */
import type { NormaliseClipTask } from '../../../proto/gen/furrow/v1/task_film.ts';
import { frameTicks, letterbox, type FilmForm } from './clip-form.ts';
import { clipNumber, readClips, soundOf, type ClipsPlan } from './clips-plan.ts';
import { makeChunk, planAndPiece } from './encode.ts';
import { encoderSettings, knownEncoder, type EncoderSettings } from './encoder-settings.ts';
import type { MediaOutput } from './ffmpeg-argv.ts';
import { FilmFault, processFault } from './film-fault.ts';
import type { FilmPlan, PlanPiece } from './film-plan.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';
import { takeLines } from './list-file.ts';
import { bookedThreads } from './media-process.ts';
import { HDR_TONES, shownPicture, type ShownPicture } from './shown-picture.ts';
import { probeSource, streamsOf } from './source-facts.ts';
import { formatUs } from './timeline.ts';

type ClipAttempt = FilmAttempt<NormaliseClipTask>;
type Clip = ClipsPlan['clips'][number];

const DECODED = 'clip-frames.txt';

export const normaliseClipRunner = filmRunner('normaliseClip', normaliseClip);

async function normaliseClip(attempt: ClipAttempt): Promise<void> {
  const { work, media } = attempt;
  const { plan, piece } = await planAndPiece(work);
  const { form, clips } = await readClips(work.directory);
  const clip = clips[clipNumber(piece.name)];
  if (clip === undefined) {
    throw new FilmFault('invalid-input', `${piece.name} is none of the clips`);
  }
  try {
    const facts = await probeSource(media, piece.name);
    const shown = shownPicture(piece.name, facts);
    const [audio] = streamsOf(facts, 'audio');
    const sound = form.channels === 0 ? [] : [soundOutput(piece, clip, form, audio?.index)];
    await makeChunk(attempt, plan, piece, {
      settings: settingsFor(attempt, plan),
      before: pictureFilters(shown, form, plan.source.pixelFormat),
      source: {
        stream: String(shown.stream.index),
        // ffmpeg turns it upright itself: it would write the turn into the chunk besides.
        inputOptions: ['-autorotate', '1'],
        filters: rateFilters(piece, form),
      },
      besides: [decodedFrames(shown), ...sound],
    });
    await refuseDamaged(attempt, clip);
    if (form.channels > 0) await refuseWrongLength(attempt, piece, clip);
  } catch (error) {
    if (!(error instanceof FilmFault)) throw error;
    // People do not know it by its number.
    throw new FilmFault(
      error.kind,
      error.message.replaceAll(piece.name, () => clip.name),
    );
  }
}

function settingsFor({ task, work }: ClipAttempt, plan: FilmPlan): EncoderSettings {
  const encoder = knownEncoder(task.encoder);
  if (encoder === undefined) {
    throw new FilmFault('invalid-input', `encoder ${task.encoder} is not known`);
  }
  const threads = task.threads || bookedThreads(work);
  const { crf, preset } = task;
  const video = { encoder, crf, preset, width: 0, height: 0, threads };
  return encoderSettings(encoder, video, plan.source, threads);
}

/**
 * Exactly the frames that the plan gives the clip: each the one that the clip shows then, to half a frame; the
 * last one for as long as is missing.
 */
function rateFilters({ frames }: PlanPiece, form: FilmForm): readonly string[] {
  return [
    'setpts=PTS-STARTPTS',
    `fps=fps=${form.rateNum}/${form.rateDen}:start_time=0:round=near`,
    'tpad=stop=-1:stop_mode=clone',
    `trim=end_frame=${frames}`,
    `settb=1/${frameTicks(form).den}`,
  ];
}

/** Upright, in the film's size with bars where the shapes differ, in the film's colours and as deep as it is. */
function pictureFilters(
  shown: ShownPicture,
  form: FilmForm,
  pixelFormat: string,
): readonly string[] {
  const { width, height, left, top } = letterbox(shown, form);
  return [
    ...shown.colours,
    ...(shown.isHdr ? HDR_TONES : []),
    `scale=${width}:${height}:flags=bicubic+accurate_rnd+full_chroma_int:out_color_matrix=bt709:out_range=tv`,
    `format=${pixelFormat}`,
    `pad=${form.width}:${form.height}:${left}:${top}:black`,
    'setsar=1',
  ];
}

/** A line for each frame that the clip's decoder makes: what the film shows cannot tell when one is missing. */
function decodedFrames({ stream }: ShownPicture): MediaOutput {
  const options = ['-map', `0:${stream.index}`, '-vf', 'scale=16:16', '-fps_mode', 'passthrough'];
  return { name: { file: DECODED }, options: [...options, '-f', 'framecrc'] };
}

/** The clip's first track from its first frame on, silence where it has no sound. */
function soundOutput(
  piece: PlanPiece,
  { samples, delayUs }: Clip,
  { sampleRate, channels }: FilmForm,
  track: number | undefined,
): MediaOutput {
  const layout = channels === 1 ? 'mono' : 'stereo';
  const first =
    track === undefined
      ? [`anullsrc=r=${sampleRate}:cl=${layout}`]
      : [
          `[0:${track}]asetpts=PTS-(${formatUs(delayUs)})/TB`,
          `aresample=${sampleRate}:async=1:first_pts=0`,
          `aformat=sample_rates=${sampleRate}:channel_layouts=${layout}`,
          'apad',
        ];
  const graph = [...first, `atrim=end_sample=${samples}`, 'asetpts=N/SR/TB'].join(',');
  return {
    name: { file: soundOf(piece.name) },
    options: [
      ['-filter_complex', `${graph}[sound]`, '-map', '[sound]'],
      ['-c:a', 'alac', '-sample_fmt', 's16p', '-map_metadata', '-1', '-f', 'mp4'],
    ].flat(),
  };
}

async function refuseDamaged({ work }: ClipAttempt, { name, sourceFrames }: Clip): Promise<void> {
  let decoded = 0;
  await takeLines(work.directory, DECODED, (line) => {
    if (!line.startsWith('#')) decoded += 1;
  });
  if (decoded >= sourceFrames) return;
  throw new FilmFault(
    'invalid-input',
    `${name} is damaged: ${sourceFrames - decoded} of ${sourceFrames} frames cannot be decoded`,
  );
}

async function refuseWrongLength(
  { media }: ClipAttempt,
  piece: PlanPiece,
  { name, samples }: Clip,
): Promise<void> {
  const sound = soundOf(piece.name);
  let found = 0;
  const run = await media.ffmpegLines(
    [{ name: sound }],
    ['-map', '0:a', '-c', 'copy', '-f', 'framecrc'],
    (line) => {
      const length = Number(line.split(',')[3]);
      if (!line.startsWith('#') && Number.isFinite(length)) found += length;
    },
  );
  if (!run.ok) throw processFault(run, `the sound of ${name}`);
  if (found === samples) return;
  throw new FilmFault('bad-output', `the sound of ${name} has ${found} samples, not ${samples}`);
}
