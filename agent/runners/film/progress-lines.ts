/** Reads what `ffmpeg -progress` prints: `key=value` lines in blocks that end with `progress=…`. */
export interface ProgressBlock {
  /** Frames written to the first video output so far; 0 for audio. */
  readonly frame: number;
  /** Frames a second, by ffmpeg's own count. */
  readonly fps: number;
  /** Position in the output in microseconds; 0 while unknown. */
  readonly outTimeUs: number;
  /** True for the last block. */
  readonly ended: boolean;
}

/** Takes lines one at a time and calls back once for each complete block. */
export function progressReader(onBlock: (block: ProgressBlock) => void): (line: string) => void {
  let values = new Map<string, string>();
  return (line) => {
    const equals = line.indexOf('=');
    if (equals < 0) return;
    const key = line.slice(0, equals).trim();
    const value = line.slice(equals + 1).trim();
    if (key !== 'progress') {
      values.set(key, value);
      return;
    }
    onBlock({
      frame: numberOr0(values.get('frame')),
      fps: numberOr0(values.get('fps')),
      // `out_time_ms` holds microseconds too, in every version; this name says so.
      outTimeUs: numberOr0(values.get('out_time_us')),
      ended: value === 'end',
    });
    values = new Map();
  };
}

/** ffmpeg prints `N/A` until it knows. */
function numberOr0(text: string | undefined): number {
  const value = Number(text);
  return Number.isFinite(value) ? value : 0;
}
