/** What the ffmpeg of this machine can do, proven by a few frames through each encoder. */
import { existsSync, readdirSync } from 'node:fs';
import { askTool, type ToolEnvironment } from './run-tool.ts';
import { trialOf, type Trial } from './trial.ts';

export type FfmpegTools =
  | {
      readonly state: 'found';
      /** Such as 5.1.6-0+deb12u1. */
      readonly version: string;
      /** By encoder, such as libx264. */
      readonly encoders: ReadonlyMap<string, Trial>;
      /** Those of `FILTERS` that it was built with. */
      readonly filters: readonly string[];
    }
  | { readonly state: 'missing'; readonly reason: string }
  /** It does not answer in time: nothing is known. */
  | { readonly state: 'silent' };

/** Encoders that need the same things. */
interface Family {
  readonly names: readonly string[];
  /** Before the input. */
  readonly device: readonly string[];
  /** Between input and encoder. */
  readonly pictures: readonly string[];
  /** On Linux, one of these has to be there; else there is nothing to try. */
  readonly devices: readonly string[];
}

const PLANAR = ['-pix_fmt', 'yuv420p'];
const NV12 = ['-pix_fmt', 'nv12'];
const SOFTWARE: Family = {
  names: ['libx264', 'libx265', 'libsvtav1', 'libvpx-vp9'],
  device: [],
  pictures: PLANAR,
  devices: [],
};
/** `/dev/dxg` is the GPU of a Windows machine, seen from its Linux. */
const HARDWARE: readonly Family[] = [
  {
    names: ['h264_nvenc', 'hevc_nvenc', 'av1_nvenc'],
    device: [],
    pictures: PLANAR,
    devices: ['/dev/nvidiactl', '/dev/dxg'],
  },
  {
    names: ['h264_vaapi', 'hevc_vaapi', 'av1_vaapi', 'vp9_vaapi'],
    device: ['-init_hw_device', 'vaapi=gpu', '-filter_hw_device', 'gpu'],
    pictures: ['-vf', 'format=nv12,hwupload'],
    devices: ['/dev/dri/renderD*', '/dev/dxg'],
  },
  {
    names: ['h264_qsv', 'hevc_qsv', 'av1_qsv', 'vp9_qsv'],
    device: [],
    pictures: NV12,
    devices: ['/dev/dri/renderD*'],
  },
  {
    names: ['h264_videotoolbox', 'hevc_videotoolbox'],
    device: [],
    pictures: PLANAR,
    devices: [],
  },
  { names: ['h264_amf', 'hevc_amf', 'av1_amf'], device: [], pictures: NV12, devices: [] },
];

/** Filters that some builds lack and some recipes need. */
const FILTERS = ['vidstabdetect'];

const QUERY_TIMEOUT_MS = 10_000;
const TRIAL_TIMEOUT_MS = 20_000;
/** NVENC takes nothing below 145×145, others nothing below 256×128: a trial on less proves nothing. */
const TRIAL_SIZE = '320x240';

export async function probeFfmpeg(
  environment: ToolEnvironment = {},
  signal?: AbortSignal,
): Promise<FfmpegTools> {
  const [ffmpeg, listing, ffprobe] = await Promise.all([
    askTool('ffmpeg', ['-encoders'], QUERY_TIMEOUT_MS, {}, signal),
    askTool('ffmpeg', ['-filters'], QUERY_TIMEOUT_MS, {}, signal),
    askTool('ffprobe', ['-version'], QUERY_TIMEOUT_MS, {}, signal),
  ]);
  for (const answer of [ffmpeg, listing, ffprobe]) {
    if (answer.state === 'failed') return { state: 'missing', reason: answer.reason };
  }
  if (ffmpeg.state !== 'answered' || ffprobe.state !== 'answered') return { state: 'silent' };
  if (listing.state !== 'answered') return { state: 'silent' };
  const present = parseFilters(listing.stdout);
  const filters = FILTERS.filter((filter) => present.has(filter));
  const encoders = await tryAll(parseEncoders(ffmpeg.stdout), environment, signal);
  // Its banner says the version.
  return { state: 'found', version: parseVersion(ffmpeg.stderr), encoders, filters };
}

/** Hardware one after the other: a card has few sessions, and its users may need them. */
async function tryAll(
  present: ReadonlySet<string>,
  environment: ToolEnvironment,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, Trial>> {
  const isPresent = (encoder: string): boolean => present.has(encoder);
  const software = trySoftware(SOFTWARE.names.filter(isPresent), signal);
  const trials: (readonly [string, Trial])[] = [];
  for (const family of HARDWARE) {
    if (!hasDevice(family)) continue;
    for (const encoder of family.names.filter(isPresent)) {
      trials.push([encoder, await encode([encoder], family, environment, signal)]);
    }
  }
  return new Map([...(await software), ...trials]);
}

/** All in one process, most of whose time is its start; one by one only if that fails. */
async function trySoftware(
  encoders: readonly string[],
  signal: AbortSignal | undefined,
): Promise<(readonly [string, Trial])[]> {
  const attempt = (some: readonly string[]): Promise<Trial> => encode(some, SOFTWARE, {}, signal);
  const together = encoders.length === 0 ? undefined : await attempt(encoders);
  const trials = encoders.map(async (encoder) => {
    const trial = together?.state === 'works' ? together : await attempt([encoder]);
    return [encoder, trial] as const;
  });
  return Promise.all(trials);
}

/** A few small frames through each of the encoders, to nowhere. */
async function encode(
  encoders: readonly string[],
  family: Family,
  environment: ToolEnvironment,
  signal: AbortSignal | undefined,
): Promise<Trial> {
  const { device, pictures } = family;
  const source = ['-f', 'lavfi', '-i', `color=gray:s=${TRIAL_SIZE}:r=10:d=0.3`];
  const outputs = encoders.flatMap((encoder) => [
    ['-map', '0:v', ...pictures, '-c:v', encoder],
    ['-f', 'null', '-'],
  ]);
  const args = ['-v', 'error', '-nostdin', ...device, ...source, ...outputs.flat()];
  return trialOf(await askTool('ffmpeg', args, TRIAL_TIMEOUT_MS, environment, signal), isNvencBusy);
}

/** What NVENC says when all its sessions are in use: it means sessions, not memory. */
export function isNvencBusy(reason: string): boolean {
  return /OpenEncodeSessionEx failed: (out of memory|incompatible client key)/.test(reason);
}

function hasDevice({ devices }: Family): boolean {
  if (process.platform !== 'linux' || devices.length === 0) return true;
  return devices.some((path) =>
    path.endsWith('*') ? hasFileLike(path.slice(0, -1)) : existsSync(path),
  );
}

function hasFileLike(prefix: string): boolean {
  const cut = prefix.lastIndexOf('/');
  try {
    return readdirSync(prefix.slice(0, cut)).some((name) => name.startsWith(prefix.slice(cut + 1)));
  } catch {
    return false;
  }
}

/** Names of all encoders in the answer to `ffmpeg -encoders`. */
export function parseEncoders(listing: string): ReadonlySet<string> {
  const names = new Set<string>();
  for (const line of listing.split('\n')) {
    const match = /^ [VAS][A-Z.]{5} (\S+)/.exec(line);
    if (match?.[1] !== undefined && match[1] !== '=') names.add(match[1]);
  }
  return names;
}

/** Names of all filters in the answer to `ffmpeg -filters`: lines such as ` ..C scale  V->V  Scale.` */
export function parseFilters(listing: string): ReadonlySet<string> {
  const names = [...listing.matchAll(/^ [A-Z.]{2,3} (\S+) +\S+->\S+/gm)].map((match) => match[1]!);
  return new Set(names);
}

/** The version in the first line of ffmpeg's banner. */
export function parseVersion(answer: string): string {
  return /^ffmpeg version (\S+)/.exec(answer)?.[1] ?? 'unknown';
}
