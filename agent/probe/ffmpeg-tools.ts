/** What the ffmpeg of this machine can do. An encoder counts when it has encoded, not when it is listed. */
import { runTool } from './run-tool.ts';

export interface FfmpegTools {
  /** Such as 5.1.6-0+deb12u1; null when ffmpeg or ffprobe is missing. */
  readonly version: string | null;
  /** Such as libx264. */
  readonly encoders: readonly string[];
}

const WANTED_ENCODERS: readonly string[] = ['libx264', 'libx265', 'libsvtav1', 'libvpx-vp9'];
const QUERY_TIMEOUT_MS = 10_000;
const TRIAL_TIMEOUT_MS = 20_000;

export async function probeFfmpeg(): Promise<FfmpegTools> {
  const [version, ffprobe, listed] = await Promise.all([
    runTool('ffmpeg', ['-hide_banner', '-version'], QUERY_TIMEOUT_MS),
    runTool('ffprobe', ['-hide_banner', '-version'], QUERY_TIMEOUT_MS),
    runTool('ffmpeg', ['-hide_banner', '-encoders'], QUERY_TIMEOUT_MS),
  ]);
  if (version === null || ffprobe === null || listed === null)
    return { version: null, encoders: [] };
  const present = parseEncoders(listed);
  const candidates = WANTED_ENCODERS.filter((encoder) => present.has(encoder));
  const works = await Promise.all(candidates.map(encodes));
  return {
    version: parseVersion(version),
    encoders: candidates.filter((_encoder, index) => works[index]),
  };
}

/** A few small frames, to nowhere. */
async function encodes(encoder: string): Promise<boolean> {
  const source = ['-f', 'lavfi', '-i', 'color=gray:s=128x128:r=10:d=0.3', '-pix_fmt', 'yuv420p'];
  const args = ['-v', 'error', '-nostdin', ...source, '-c:v', encoder, '-f', 'null', '-'];
  return (await runTool('ffmpeg', args, TRIAL_TIMEOUT_MS)) !== null;
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

/** The version in the first line of `ffmpeg -version`. */
export function parseVersion(answer: string): string {
  return /^ffmpeg version (\S+)/.exec(answer)?.[1] ?? 'unknown';
}
