/**
 * Which encoder a film gets where `auto` is asked for, and which one takes over if an encoder of hardware fails.
 * Pure: what the farm's agents can do is handed in.
 */
import type { VideoEncoding } from '../domain/task.ts';
import { type Container, encoderRule, HARDWARE_FAMILIES, sameQuality } from './codings.ts';
import { invalid, quote, type RecipePlan } from './recipe.ts';

/** An agent that may get units of the job, and can encode films. */
export interface FilmAgent {
  readonly name: string;
  /** Those that were proven there. */
  readonly encoders: ReadonlySet<string>;
  /** In all, whatever runs there. */
  readonly cpus: number;
}

export interface EncoderWish {
  /** As asked for: zero and empty fields take the defaults. */
  readonly video?: VideoEncoding | undefined;
  /** Undefined: allowed for `auto` alone. */
  readonly fallback?: boolean | undefined;
}

export interface EncoderChoice {
  readonly state: 'ok';
  readonly video: VideoEncoding | undefined;
  /** Its encoder does the whole film if that of `video` fails; undefined where none may. */
  readonly fallback: VideoEncoding | undefined;
  /** What was chosen and why, a sentence; none where the encoder was named. */
  readonly notes: readonly string[];
}

type Codec = 'h264' | 'hevc' | 'av1' | 'vp9';

const SOFTWARE: Readonly<Record<Codec, string>> = {
  h264: 'libx264',
  hevc: 'libx265',
  av1: 'libsvtav1',
  vp9: 'libvpx-vp9',
};

type Fault = RecipePlan & { readonly state: 'invalid' };

export function chooseEncoder(
  { video, fallback }: EncoderWish,
  container: Container,
  agents: readonly FilmAgent[],
): EncoderChoice | Fault {
  const asked = video?.encoder ?? '';
  if (!/^auto(:|$)/.test(asked)) return namedEncoder(video, fallback === true);
  const codec = codecOf(asked, container);
  if (codec === undefined) {
    return invalid(
      `video encoder ${quote(asked)} is not known: use auto, auto:h264, auto:hevc or auto:av1`,
    );
  }
  if ((video?.preset ?? '') !== '') {
    return invalid(`presets are an encoder's own: leave it out with ${asked}, or name an encoder`);
  }
  const software = { ...(video ?? NOTHING), encoder: SOFTWARE[codec] };
  const found = commonHardware(codec, software, container, agents);
  const all = agents.length === 1 ? 'the agent' : `all ${agents.length} agents`;
  if (found.state === 'none') {
    const note = `${asked} is ${software.encoder}: ${found.why}`;
    return { state: 'ok', video: software, fallback: undefined, notes: [note] };
  }
  const { encoder } = found;
  const has = agents.length === 1 ? 'has' : 'have';
  const note = `${asked} is ${encoder}: ${all} that may take the job ${has} it`;
  const crf = software.crf === 0 ? 0 : sameQuality(software.crf, software.encoder, encoder);
  const hardware = { ...software, encoder, crf };
  return fallback === false
    ? { state: 'ok', video: hardware, fallback: undefined, notes: [note] }
    : {
        state: 'ok',
        video: hardware,
        fallback: software,
        notes: [`${note}; ${software.encoder} does the film if it fails`],
      };
}

function namedEncoder(
  video: VideoEncoding | undefined,
  mayFallBack: boolean,
): EncoderChoice | Fault {
  if (!mayFallBack) return { state: 'ok', video, fallback: undefined, notes: [] };
  const encoder = video?.encoder ?? '';
  const [, codec] = /^(h264|hevc|av1)_/.exec(encoder) ?? [];
  if (video === undefined || codec === undefined || encoderRule(encoder)?.isHardware !== true) {
    const named = encoder === '' ? 'none is named' : `${encoder} is none`;
    return invalid(`a fallback is for encoders of hardware, and ${named}: leave it out`);
  }
  if ((video.targetSsim ?? 0) > 0) {
    return invalid('a target SSIM is found for one encoder: leave it out, or the fallback');
  }
  const other = SOFTWARE[codec as Codec];
  const crf = video.crf === 0 ? 0 : sameQuality(video.crf, encoder, other);
  const fallback = { ...video, encoder: other, preset: '', crf };
  return { state: 'ok', video, fallback, notes: [] };
}

/** Undefined for codecs that `auto` does not know. */
function codecOf(asked: string, container: Container): Codec | undefined {
  if (asked === 'auto') return container === 'webm' ? 'vp9' : 'h264';
  const [, name] = /^auto:(h264|hevc|av1)$/.exec(asked) ?? [];
  return name as Codec | undefined;
}

const NOTHING: VideoEncoding = {
  encoder: '',
  crf: 0,
  preset: '',
  width: 0,
  height: 0,
  threads: 0,
};

type Found =
  | { readonly state: 'found'; readonly encoder: string }
  | { readonly state: 'none'; readonly why: string };

const none = (why: string): Found => ({ state: 'none', why });

/** The one of hardware that every agent has, by one name: what two names make is never joined. */
function commonHardware(
  codec: Codec,
  { maxBitrateBps = 0, targetSsim = 0 }: VideoEncoding,
  container: Container,
  agents: readonly FilmAgent[],
): Found {
  if (maxBitrateBps > 0) return none('a ceiling of the bit rate is for encoders of software');
  if (targetSsim > 0) return none('a target SSIM is for encoders of software');
  const names = [...HARDWARE_FAMILIES.keys()]
    .map((family) => `${codec}_${family}`)
    .filter((name) => encoderRule(name)?.containers.includes(container) === true);
  if (names.length === 0) return none(`no encoder of hardware makes ${codec} for .${container}`);
  if (agents.length === 0) return none('no agent is there that may take the job');
  const encoder = names.find((name) => agents.every(({ encoders }) => encoders.has(name)));
  if (encoder !== undefined) return { state: 'found', encoder };
  const bare = agents.find(({ encoders }) => !names.some((name) => encoders.has(name)));
  return none(
    bare === undefined
      ? `the ${agents.length} agents that may take the job have no encoder of hardware in common`
      : `agent ${bare.name}, which may take the job, has no encoder of hardware for ${codec}`,
  );
}
