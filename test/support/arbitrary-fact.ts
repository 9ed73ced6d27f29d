/** Any fact of any kind, for properties. */
import { ROLES } from '../../coordinator/domain/credentials.ts';
import * as fc from 'fast-check';
import type { Arbitrary } from 'fast-check';
import type { AgentPolicy } from '../../coordinator/domain/agent-policy.ts';
import type { ModelManifest } from '../../coordinator/domain/model.ts';
import type { EndKind, Fact, NextForUnit } from '../../coordinator/domain/facts.ts';
import type {
  Demand,
  File,
  InputKind,
  Limits,
  ParameterKind,
  StepSpec,
  TaskKind,
} from '../../coordinator/domain/task.ts';
import { MAX_COUNTER, MAX_EPOCH, tokenOf, type Token } from '../../coordinator/domain/token.ts';

const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const bytes = fc.maxSafeNat();
const atMs = fc.integer({ min: 0, max: 4_102_444_800_000 });
// grapheme: whole characters; half of a surrogate pair is no text and does not survive UTF-8.
const text = fc.string({ unit: 'grapheme' });
const texts = fc.array(text, { maxLength: 5 });
const token: Arbitrary<Token> = fc
  .tuple(fc.integer({ min: 1, max: MAX_EPOCH }), fc.integer({ min: 1, max: MAX_COUNTER }))
  .map(([epoch, counter]) => tokenOf(epoch, counter));
const sha256 = fc.stringMatching(/^[0-9a-f]{64}$/);

const positive = fc.integer({ min: 1, max: 2 ** 32 - 1 });
const policy: Arbitrary<AgentPolicy> = fc.record({
  mode: fc.constantFrom('always', 'idle', 'never'),
  onBusy: fc.constantFrom('finish', 'evict'),
  graceMs: uint32,
  // Zero stands for what is usual, on the wire alone.
  idleAfterMs: positive,
  maxLoadPercent: positive,
  maxGpuPercent: positive,
  hours: fc.array(
    fc.record({
      days: fc.array(fc.integer({ min: 0, max: 6 })),
      startMinute: uint32,
      endMinute: uint32,
    }),
  ),
  timeZone: text,
  maxCpuMillis: uint32,
  maxUnits: uint32,
  maxVramPercent: uint32,
  maxBytesPerSecond: bytes,
  pausedUntilMs: bytes,
});

const file: Arbitrary<File> = fc.record({ name: text, sha256, sizeBytes: bytes });

const variant = <Case extends string, Value>(
  $case: Case,
  value: Arbitrary<Value>,
): Arbitrary<{ readonly $case: Case; readonly value: Value }> =>
  value.map((value) => ({ $case, value }));

const maybe = <Value>(value: Arbitrary<Value>): Arbitrary<Value | undefined> =>
  fc.option(value, { nil: undefined });

const environmentName = fc.stringMatching(/^[A-Z][A-Z0-9_]{0,9}$/);
const audio = fc.record({ encoder: text, bitrateBps: uint32 });
const video = fc.record({
  encoder: text,
  crf: uint32,
  preset: text,
  width: uint32,
  height: uint32,
  threads: uint32,
});

/** On the wire it is the 0 that is left out. */
const withoutMinusZero = (value: number): number => value + 0;
const float = fc.float({ noNaN: true }).map(withoutMinusZero);
const number = fc.double({ noNaN: true, noDefaultInfinity: true }).map(withoutMinusZero);
const poster = fc.record({ atMs: maybe(uint32) });
const sound = fc.record({
  encoder: text,
  bitrateBps: uint32,
  channels: uint32,
  sampleRate: uint32,
  loudness: maybe(fc.record({ targetLufs: float, truePeakDbtp: float })),
});
const survey = fc.record({
  clips: fc.array(fc.record({ source: text, name: text })),
  width: uint32,
  height: uint32,
  frameRate: text,
  sampleRate: uint32,
  channels: uint32,
});
const manifest: Arbitrary<ModelManifest> = fc.record({
  kind: fc.nat(4),
  licence: text,
  origin: text,
  inputs: texts,
  outputs: texts,
  channels: fc.nat(3),
  mean: fc.array(number, { maxLength: 3 }),
  deviation: fc.array(number, { maxLength: 3 }),
  sizeMultiple: uint32,
  scale: uint32,
  halo: uint32,
  pairLayout: fc.nat(4),
  timestep: fc.nat(3),
  width: uint32,
  height: uint32,
  fit: fc.nat(4),
  fill: uint32,
  outputForm: fc.nat(4),
  labels: texts,
  maxBatch: uint32,
});
const tabulated = fc.record({
  source: text,
  sourceBytes: uint32,
  film: text,
  suffix: text,
  refused: text,
});

const packaged = {
  name: text,
  films: fc.array(fc.record({ film: text, lines: uint32 }), { maxLength: 3 }),
  packaging: maybe(fc.record({ hls: fc.boolean(), dash: fc.boolean() })),
};

const taskKind: Arbitrary<TaskKind> = fc.oneof(
  variant(
    'command',
    fc.record({
      argv: texts,
      environment: fc.dictionary(environmentName, text, { noNullPrototype: true }),
      checkpoint: maybe(fc.boolean()),
    }),
  ),
  variant('noop', fc.constant({})),
  variant('split', fc.record({ source: text, pieceMs: uint32 })),
  variant(
    'encode',
    fc.record({
      video: maybe(video),
      inPlaceOf: maybe(text),
    }),
  ),
  variant(
    'split',
    fc.record({
      source: text,
      pieceMs: uint32,
      unitsAtOnce: maybe(uint32),
      pieceBy: maybe(text),
    }),
  ),
  variant('encode', fc.record({ video: maybe(video) })),
  variant('audio', fc.record({ source: text, audio: maybe(audio) })),
  variant('concat', fc.record({ source: text, film: text })),
  variant('proveFilm', fc.record({ source: text, film: text })),
  variant('encodeProxy', fc.record({ format: text, longestSide: uint32 })),
  variant('takeThumbnails', fc.record({ source: text, format: text, poster: maybe(poster) })),
  variant(
    'extractSound',
    fc.record({ source: text, sound: text, coding: maybe(sound), tracks: fc.array(uint32) }),
  ),
  variant('surveyClips', survey),
  variant('packageFilms', fc.record({ ...packaged, pieceMs: uint32 })),
  variant('provePackage', fc.record(packaged)),
  variant('tabulate', fc.record({ films: fc.array(tabulated, { maxLength: 3 }), proofs: text })),
);

const stepOutputs = fc.record({ step: text, pattern: text });
const parameterKind: Arbitrary<ParameterKind> = fc.oneof(
  variant('count', uint32),
  variant('values', fc.record({ values: texts })),
  variant('forEach', stepOutputs),
  variant(
    'fileList',
    fc.record({
      list: fc.option(file, { nil: undefined }),
      perUnit: uint32,
      count: uint32,
      filesBytes: bytes,
    }),
  ),
);
const inputKind: Arbitrary<InputKind> = fc.oneof(
  variant('file', file),
  variant('outputs', stepOutputs),
  variant('item', fc.boolean()),
);
const demand: Arbitrary<Demand> = fc.record({
  cpuMillis: uint32,
  ramBytes: bytes,
  gpus: uint32,
  vramBytes: bytes,
  scratchBytes: bytes,
  encoderSessions: uint32,
  attributes: texts,
  wholeGpus: maybe(fc.boolean()),
  tickets: fc.dictionary(environmentName, uint32, { noNullPrototype: true }),
});
const limits: Arbitrary<Limits> = fc.record({
  maxAttempts: uint32,
  runTimeoutMs: uint32,
  stallTimeoutMs: uint32,
  startTimeoutMs: maybe(uint32),
});
const step: Arbitrary<StepSpec> = fc.record({
  name: text,
  dependsOn: texts,
  parameters: maybe(fc.record({ kind: parameterKind })),
  task: maybe(fc.record({ kind: taskKind })),
  inputs: fc.array(fc.record({ kind: inputKind }), { maxLength: 4 }),
  outputs: fc.array(fc.record({ pattern: text, keep: fc.boolean(), optional: fc.boolean() }), {
    maxLength: 4,
  }),
  demand: maybe(demand),
  limits: maybe(limits),
  insteadOf: maybe(text),
});

const endKind: Arbitrary<EndKind> = fc.constantFrom(
  'failed',
  'invalid-input',
  'out-of-memory',
  'out-of-vram',
  'timed-out',
  'stalled',
  'bad-output',
  'lost',
  'evicted',
  'infrastructure',
  'expired',
  'refused',
  'cancelled',
);
const next: Arbitrary<NextForUnit> = fc.oneof(
  fc.record({ kind: fc.constant('queued' as const), notBeforeMs: atMs }),
  fc.record({ kind: fc.constant('failed' as const) }),
  fc.record({ kind: fc.constant('nothing' as const) }),
);

const results = fc.array(fc.tuple(uint32, token), { maxLength: 20 }).map((pairs) => ({
  units: pairs.map(([unit]) => unit),
  attempts: pairs.map(() => 1),
  tokens: pairs.map(([, token]) => token),
}));
const outputs = fc.array(fc.record({ unit: uint32, files: fc.array(file, { maxLength: 3 }) }), {
  maxLength: 4,
});
const histogram = fc.array(fc.record({ bucket: uint32, count: uint32 }), { maxLength: 4 });
const lease = { token, job: uint32, step: uint32, unit: uint32, agentId: text };

/** What is not in the fact's own bytes: its commit must say it. */
const ARBITRARY_REIGN = { reignId: '000102030405060708090a0b0c0d0e0f', sequence: 1 };

/** One for each kind of fact: the compiler misses a kind that is new. */
const factFields: {
  readonly [Type in Fact['type']]: Arbitrary<Omit<Extract<Fact, { type: Type }>, 'type'>>;
} = {
  FarmCreated: fc.record({ farmId: text, atMs }),
  EpochStarted: fc.record({
    epoch: uint32,
    reignId: fc.constant(ARBITRARY_REIGN.reignId),
    sequence: fc.constant(ARBITRARY_REIGN.sequence),
    acceptsLoss: fc.boolean(),
    atMs,
  }),
  JobSubmitted: fc.record({
    job: uint32,
    clientId: text,
    requestHash: sha256,
    name: text,
    priority: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
    recipe: text,
    steps: fc.array(step, { maxLength: 4 }),
    failures: maybe(fc.record({ maxFailedUnits: uint32, keepGoing: fc.boolean() })),
    owner: maybe(text),
    maxUnits: maybe(uint32),
    atMs,
  }),
  UnitsCreated: fc.record({ job: uint32, step: uint32, count: uint32 }),
  LeasesGranted: fc.record({
    agentId: text,
    session: text,
    grantNumber: bytes,
    job: uint32,
    step: uint32,
    firstToken: token,
    units: fc.array(uint32, { maxLength: 20 }),
    attempts: fc.array(uint32, { maxLength: 20 }),
    gpuIds: texts,
    pin: maybe(text),
    waiting: fc.boolean(),
    copy: fc.boolean(),
    atMs,
  }),
  ResultsAccepted: fc
    .tuple(results, fc.record({ job: uint32, step: uint32, outputs, agentId: text, atMs }))
    .map(([columns, rest]) => ({ ...columns, ...rest })),
  LeaseEnded: fc.record({
    ...lease,
    attempt: uint32,
    kind: endKind,
    message: text,
    next,
    counts: fc.boolean(),
    lost: fc.boolean(),
    front: fc.boolean(),
    grow: maybe(fc.record({ ramBytes: bytes, vramBytes: bytes })),
    atMs,
  }),
  LeaseResumed: fc.record({ ...lease, session: text, gpuIds: texts, waiting: fc.boolean(), atMs }),
  CheckpointSaved: fc.record({
    token,
    job: uint32,
    step: uint32,
    unit: uint32,
    files: fc.array(file, { maxLength: 4 }),
    atMs,
  }),
  UnitsRequeued: fc.record({ job: uint32, atMs }),
  JobCancelled: fc.record({ job: uint32, reason: text, atMs }),
  JobPaused: fc.record({ job: uint32, atMs }),
  JobResumed: fc.record({ job: uint32, atMs }),
  JobEnded: fc.record({ job: uint32, succeeded: fc.boolean(), reason: text, atMs }),
  AgentEnrolled: fc.record({ agentId: text, name: text, version: text, atMs }),
  AgentDrainChanged: fc.record({ agentId: text, draining: fc.boolean(), atMs }),
  AgentPolicySet: fc.record({ agentId: text, policy: maybe(policy), atMs }),
  SnapshotTaken: fc.record({ sequence: bytes, hash: sha256, sizeBytes: bytes }),
  JobsArchived: fc.record({
    segment: fc.record({
      name: text,
      ranges: fc.array(uint32, { maxLength: 8 }),
      index: fc.record({ hash: sha256, sizeBytes: bytes }),
      images: fc.record({ hash: sha256, sizeBytes: bytes }),
      clientIdHashes: fc.array(uint32, { maxLength: 8 }),
    }),
    atMs,
  }),
  JobRemoved: fc.record({ job: uint32, atMs }),
  SizesLearned: fc.record({
    models: fc.array(
      fc.record({
        sha256,
        provider: text,
        // Bytes for a pixel: never below nothing, nor minus nothing, which the wire does not know.
        pixelBytes: fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
        baseBytes: bytes,
      }),
      { maxLength: 4 },
    ),
    sizes: fc.array(
      fc.record({ kind: text, units: uint32, runMs: bytes, ram: histogram, vram: histogram }),
      { maxLength: 4 },
    ),
    atMs,
  }),
  TicketsSet: fc.record({ name: text, limit: uint32, atMs }),
  OwnerSet: fc.record({ name: text, weight: uint32, maxUnits: uint32, atMs }),
  QuotaSet: fc.record({ name: text, maxQueued: uint32, maxStoredBytes: bytes, atMs }),
  TokenCreated: fc.record({
    id: text,
    role: fc.constantFrom(...ROLES),
    owner: text,
    label: text,
    secretHash: sha256,
    expiresAtMs: atMs,
    atMs,
  }),
  TokenRevoked: fc.record({ id: text, atMs }),
  TokensUsed: fc.record({ uses: fc.array(fc.record({ id: text, atMs }), { maxLength: 4 }) }),
  AgentJoined: fc.record({
    agentId: text,
    secretHash: sha256,
    natsPublicKey: text,
    tokenId: text,
    atMs,
  }),
  AgentRevoked: fc.record({ agentId: text, atMs }),
  ModelAdded: fc.record({ name: text, file, manifest, atMs }),
  ModelRemoved: fc.record({ name: text, atMs }),
};

export const FACT_TYPES = Object.keys(factFields) as readonly Fact['type'][];

export function arbitraryFactOf(type: Fact['type']): Arbitrary<Fact> {
  return (factFields[type] as Arbitrary<object>).map((fields) => ({ type, ...fields }) as Fact);
}
