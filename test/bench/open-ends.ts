/**
 * What the benchmark started and must end, also when it is interrupted: farms, helpers, folders. Each
 * is ended once, whoever asks first.
 */
const ends = new Set<() => Promise<void>>();

/** Answers with the one way to end it: at the latest by `endAll`. */
export function ending(end: () => Promise<void>): () => Promise<void> {
  let ended: Promise<void> | undefined;
  const once = (): Promise<void> => {
    ends.delete(once);
    ended ??= end();
    return ended;
  };
  ends.add(once);
  return once;
}

/** Ends what is open, the newest first. */
export async function endAll(): Promise<void> {
  for (const end of [...ends].toReversed()) await end().catch(() => undefined);
}
