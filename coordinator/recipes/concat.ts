/**
 * The recipe `concat`: clips, however unlike, joined into one film. They are looked at together, so that the
 * film's form and the number of every clip's frames are known before anything is encoded; each is then brought
 * to that form by itself, and what comes out is joined and proven like any film that was encoded in pieces.
 */
import { faultOfName } from '../domain/names.ts';
import type { AudioEncoding, File, StepSpec, VideoEncoding } from '../domain/task.ts';
import { pieceScratchBytes } from './film-chain.ts';
import { stemOf } from './named-files.ts';
import {
  baseName,
  demand,
  fileInput,
  invalid,
  isWhole,
  keptOutput,
  MIB,
  output,
  outputsOf,
  quote,
  type RecipePlan,
  stallsAfter,
} from './recipe.ts';
import { transcodeSteps } from './transcode.ts';

/** What a user asks for; absent, empty and zero fields take the defaults. */
export interface ConcatRequest {
  readonly clips: readonly File[];
  readonly film: string;
  readonly video?: VideoEncoding | undefined;
  readonly audio?: AudioEncoding | undefined;
  readonly frameRate: string;
  readonly sampleRate: number;
  readonly channels: number;
}

const MAX_CLIPS = 1000;
const FFMPEG = ['tool:ffmpeg'];
const OPUS_RATES = [8000, 12_000, 16_000, 24_000, 48_000];

export function concatSteps(request: ConcatRequest): RecipePlan {
  const { clips } = request;
  const clipFault = faultOfClips(clips);
  if (clipFault !== undefined) return invalid(clipFault);
  const film = request.film || filmName(clips[0]!);
  const coding = codingOf(request, film);
  if ('state' in coding) return coding;
  const { video, audio } = coding;
  const { frameRate, sampleRate, channels } = request;
  const fault =
    faultOfFrameRate(frameRate) ??
    faultOfSound(sampleRate, channels) ??
    (audio.encoder === 'copy'
      ? 'sound that is joined is encoded anew: use aac or libopus'
      : undefined) ??
    (audio.encoder === 'libopus' && sampleRate > 0 && !OPUS_RATES.includes(sampleRate)
      ? `libopus takes no ${sampleRate} samples a second: use ${OPUS_RATES.join(', ')}`
      : undefined);
  if (fault !== undefined) return invalid(fault);
  const { width, height } = video;
  if (width > 0 !== height > 0) return invalid('give both sides of the film, such as 1280x720');
  const survey = { width, height, frameRate, sampleRate, channels };
  return {
    state: 'ok',
    steps: [surveyStep(clips, survey), ...filmSteps(clips, film, video, audio)],
  };
}

/** As `transcode` takes it: the same words, the same defaults, the same faults. */
function codingOf(
  { clips, video, audio }: ConcatRequest,
  film: string,
): { video: VideoEncoding; audio: AudioEncoding } | (RecipePlan & { state: 'invalid' }) {
  const plan = transcodeSteps({ source: clips[0], video, audio, film, pieceMs: 0 });
  if (plan.state === 'invalid') return plan;
  const tasks = plan.steps.map(({ task }) => task?.kind);
  const encode = tasks.find((kind) => kind?.$case === 'encode');
  const sound = tasks.find((kind) => kind?.$case === 'audio');
  if (encode?.value.video === undefined || sound?.value.audio === undefined) {
    return invalid('this coding is not one for joined clips');
  }
  return { video: encode.value.video, audio: sound.value.audio };
}

type Survey = Omit<
  Extract<NonNullable<StepSpec['task']>['kind'], { $case: 'surveyClips' }>['value'],
  'clips'
>;

function surveyStep(clips: readonly File[], survey: Survey): StepSpec {
  const named = clips.map((clip, i) => ({ ...clip, name: `source-${number(i)}` }));
  const sources = clips.map((clip, i) => ({ source: named[i]!.name, name: baseName(clip.name) }));
  return {
    ...oneUnit,
    name: 'survey',
    dependsOn: [],
    task: { kind: { $case: 'surveyClips', value: { clips: sources, ...survey } } },
    inputs: named.map(fileInput),
    outputs: [output('plan.json'), output('clips.json'), output('piece-*')],
    demand: demand(1000, 256 * MIB, sizeOf(clips) * 2, FFMPEG),
  };
}

const oneUnit = { parameters: undefined, limits: stallsAfter(600_000) };

function filmSteps(
  clips: readonly File[],
  film: string,
  video: VideoEncoding,
  audio: AudioEncoding,
): readonly StepSpec[] {
  const size = sizeOf(clips);
  const { encoder, crf, preset, threads } = video;
  const largest = clips.reduce((most, clip) => (clip.sizeBytes > most.sizeBytes ? clip : most));
  return [
    {
      name: 'normalise',
      dependsOn: ['survey'],
      parameters: { kind: { $case: 'forEach', value: { step: 'survey', pattern: 'piece-*' } } },
      task: { kind: { $case: 'normaliseClip', value: { encoder, crf, preset, threads } } },
      inputs: [
        { kind: { $case: 'item', value: true } },
        outputsOf('survey', 'plan.json'),
        outputsOf('survey', 'clips.json'),
      ],
      outputs: [output('chunk-*'), output('seal-*'), { ...output('sound-*'), optional: true }],
      demand: demand(threads * 1000, 1536 * MIB, pieceScratchBytes(largest) + 1024 * MIB, [
        ...FFMPEG,
        `encoder:${encoder}`,
      ]),
      limits: stallsAfter(300_000),
      uniform: 'ffmpeg',
    },
    {
      ...oneUnit,
      name: 'audio',
      dependsOn: ['survey', 'normalise'],
      task: { kind: { $case: 'joinSounds', value: audio } },
      inputs: [
        outputsOf('survey', 'plan.json'),
        outputsOf('survey', 'clips.json'),
        outputsOf('normalise', 'sound-*'),
      ],
      outputs: [{ ...output('audio.*'), optional: true }],
      demand: demand(1000, 256 * MIB, size + 1024 * MIB, FFMPEG),
    },
    {
      ...oneUnit,
      name: 'concat',
      dependsOn: ['survey', 'normalise', 'audio'],
      task: { kind: { $case: 'concat', value: { source: '', film } } },
      inputs: [
        outputsOf('survey', 'plan.json'),
        outputsOf('normalise', 'chunk-*'),
        outputsOf('normalise', 'seal-*'),
        outputsOf('audio', 'audio.*'),
      ],
      outputs: [keptOutput(film)],
      demand: demand(1000, 512 * MIB, size * 3, FFMPEG),
    },
    {
      ...oneUnit,
      name: 'proof',
      dependsOn: ['survey', 'normalise', 'audio', 'concat'],
      task: { kind: { $case: 'proveFilm', value: { source: '', film } } },
      inputs: [
        outputsOf('survey', 'plan.json'),
        outputsOf('normalise', 'seal-*'),
        outputsOf('audio', 'audio.json'),
        outputsOf('concat', film),
      ],
      outputs: [keptOutput('proof.json')],
      demand: demand(1000, 512 * MIB, size * 2, FFMPEG),
    },
  ];
}

function faultOfClips(clips: readonly File[]): string | undefined {
  if (clips.length < 2) return `${clips.length} clips: give at least two, in their order`;
  if (clips.length > MAX_CLIPS) return `${clips.length} clips: at most ${MAX_CLIPS} are joined`;
  for (const { name, sizeBytes } of clips) {
    const fault = faultOfName(name);
    if (fault !== undefined) return `a clip's name ${quote(name)} ${fault}`;
    if (sizeBytes === 0) return `${name} is empty`;
  }
  return undefined;
}

function faultOfFrameRate(frameRate: string): string | undefined {
  if (frameRate === '') return undefined;
  const [, frames, seconds = '1'] = /^([1-9]\d{0,5})(?:\/([1-9]\d{0,5}))?$/.exec(frameRate) ?? [];
  const rate = Number(frames) / Number(seconds);
  return rate >= 1 && rate <= 240
    ? undefined
    : `frame rate ${quote(frameRate)} is none: use 1 to 240 frames a second, such as 25 or 30000/1001`;
}

function faultOfSound(sampleRate: number, channels: number): string | undefined {
  if (!isWhole(channels, 0, 2)) return `${channels} channels: use 1 or 2; 0 takes the clips'`;
  return sampleRate === 0 || isWhole(sampleRate, 8000, 96_000)
    ? undefined
    : `${sampleRate} samples a second are out of range: use 8000 to 96000`;
}

function sizeOf(clips: readonly File[]): number {
  return clips.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

function number(i: number): string {
  return String(i).padStart(5, '0');
}

/** `clips/first.mov` → `first-joined.mp4`. */
function filmName(first: File): string {
  return `${stemOf(first.name)}-joined.mp4`;
}
