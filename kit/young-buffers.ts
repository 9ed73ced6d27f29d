/**
 * Buffers through which a file passes die young, but V8 counts their memory as if it grew the heap: every
 * twenty MiB or so it went through all of a coordinator's heap and found only them. Looking among the
 * young alone costs a fraction, and their memory is used again while the processor's caches hold it.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Well below what makes V8 look through the whole heap. */
const COLLECT_EVERY_BYTES = 4 * 1024 * 1024;

type Collect = (options: { readonly type: 'minor' }) => void;

let collect: Collect | undefined;
let passedBytes = 0;

/** Says that buffers of so many bytes were filled, and that most of them are done with by now. */
export function buffersPassed(bytes: number): void {
  passedBytes += bytes;
  if (passedBytes < COLLECT_EVERY_BYTES) return;
  passedBytes = 0;
  collect ??= findCollect();
  collect({ type: 'minor' });
}

/** V8 shows it only to contexts made while this flag stands; one that does not collects as it likes. */
function findCollect(): Collect {
  setFlagsFromString('--expose-gc');
  const found: unknown = runInNewContext('globalThis.gc');
  setFlagsFromString('--no-expose-gc');
  return typeof found === 'function' ? (found as Collect) : () => undefined;
}
