/** Which of the models that are kept for later must go, and which one serves a unit. Pure. */

/** A process that holds a model, and that nobody uses. */
export interface IdleModel {
  /** Names model, provider, GPUs and threads: only a unit with the same can use it. */
  readonly key: string;
  readonly gpuIds: readonly string[];
  readonly residentBytes: number;
  readonly idleSinceMs: number;
}

/** What is about to start. */
export interface RoomWanted {
  readonly ramBytes: number;
  readonly gpuIds: readonly string[];
  /** Of the model that it uses; undefined for none. */
  readonly key?: string | undefined;
}

/** Kept for so long without work: loading takes a second, and a film's next piece comes sooner. */
export const IDLE_LIMIT_MS = 60_000;

/** The warmest that fits. */
export function takeFrom<Model extends IdleModel>(
  idle: readonly Model[],
  key: string,
): Model | undefined {
  return idle
    .filter((model) => model.key === key)
    .toSorted((a, b) => b.idleSinceMs - a.idleSinceMs)[0];
}

/**
 * Those that go before something starts: all on its GPUs, as nobody knows what a driver keeps there, and as
 * many others, longest idle first, as its memory asks for. `freeBytes`: what the machine has left as it is;
 * null where nobody knows, and all must go.
 */
export function inTheWay<Model extends IdleModel>(
  idle: readonly Model[],
  wanted: RoomWanted,
  freeBytes: number | null,
): readonly Model[] {
  const own = wanted.key === undefined ? undefined : takeFrom(idle, wanted.key);
  const others = idle.filter((model) => model !== own);
  const onGpus = others.filter(({ gpuIds }) => gpuIds.some((id) => wanted.gpuIds.includes(id)));
  let bytes = (freeBytes ?? 0) + sumOf(onGpus) + (own?.residentBytes ?? 0);
  const going = [...onGpus];
  for (const model of others.toSorted((a, b) => a.idleSinceMs - b.idleSinceMs)) {
    if (bytes >= wanted.ramBytes && freeBytes !== null) break;
    if (going.includes(model)) continue;
    going.push(model);
    bytes += model.residentBytes;
  }
  return going;
}

/** Milliseconds until the next one has been idle for too long; undefined when none is. */
export function untilTooLong(idle: readonly IdleModel[], nowMs: number): number | undefined {
  const since = idle.map(({ idleSinceMs }) => idleSinceMs);
  return since.length === 0 ? undefined : Math.max(0, Math.min(...since) + IDLE_LIMIT_MS - nowMs);
}

function sumOf(models: readonly IdleModel[]): number {
  return models.reduce((sum, { residentBytes }) => sum + residentBytes, 0);
}
