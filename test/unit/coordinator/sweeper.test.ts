/** Which blobs go, and when: over a farm that is driven by hand, and an archive in memory. */
import { createHash } from 'node:crypto';
import { pino } from 'pino';
import { beforeEach, describe, expect, test } from 'vitest';
import { ArchivedBlobs } from '../../../coordinator/archived-blobs.ts';
import type { ReportedOutcome } from '../../../coordinator/domain/commands.ts';
import type { Fact } from '../../../coordinator/domain/facts.ts';
import type { StepSpec } from '../../../coordinator/domain/task.ts';
import { viewOfJob } from '../../../coordinator/domain/views.ts';
import { JobArchive } from '../../../coordinator/job-archive.ts';
import { encodeSegment } from '../../../coordinator/journal/archive-codec.ts';
import { hashOfBytes } from '../../../coordinator/journal/chunked-objects.ts';
import { ListedBlobs } from '../../../coordinator/listed-blobs.ts';
import { Sweeper } from '../../../coordinator/sweeper.ts';
import { FarmDriver, forEach, step } from '../../support/farm-driver.ts';

const log = pino({ level: 'silent' });
const HOUR_MS = 3_600_000;

const shaOf = (name: string): string => createHash('sha256').update(name).digest('hex');
const keeping = (pattern: string) => [{ pattern, keep: true, optional: false }];

const FILM = [
  step('split'),
  step('encode', { parameters: forEach('split', 'piece*') }),
  step('concat', { dependsOn: ['encode'], outputs: keeping('film*') }),
];

class Bench {
  readonly driver = new FarmDriver();
  readonly stored = new Map<string, Uint8Array>();
  /** By content: names of the blobs that are there. */
  readonly blobs = new Map<string, string>();
  /** What lists name, by the hash of each. */
  readonly lists = new Map<string, readonly string[]>();
  readonly sweeper: Sweeper;
  #told = 0;
  #timers: { readonly atMs: number; readonly run: () => void }[] = [];

  constructor(outputRetentionMs = 0) {
    const clock = {
      monotonicMs: () => this.driver.nowMs,
      wallMs: () => this.driver.now.wallMs,
      after: (delayMs: number, run: () => void) => {
        const timer = { atMs: this.driver.nowMs + delayMs, run };
        this.#timers.push(timer);
        return () => void (this.#timers = this.#timers.filter((other) => other !== timer));
      },
    };
    const load = (segment: string, part: string): Promise<Uint8Array> =>
      Promise.resolve(this.stored.get(`${segment}/${part}`) ?? new Uint8Array());
    const archived = new ArchivedBlobs({
      archive: new JobArchive({ load }, log),
      outputRetentionMs,
    });
    const deleteAll = async (
      hashes: Iterable<string>,
      isNeeded: (sha256: string) => boolean,
    ): Promise<number> => {
      const free = [...hashes].filter((sha256) => !isNeeded(sha256));
      return free.filter((sha256) => this.blobs.delete(sha256)).length;
    };
    this.sweeper = new Sweeper({
      loop: {
        read: async (look) => look(this.driver.farm, this.driver.liveness),
        proveLead: async () => undefined,
      },
      store: {
        release: deleteAll,
        sweep: (isNeeded) => deleteAll([...this.blobs.keys()], isNeeded),
      },
      archived,
      listed: new ListedBlobs({ hashesIn: (lists) => this.#hashesIn(lists) }),
      clock,
      log,
      outputRetentionMs,
    });
    this.driver.enrol('a');
    this.sweeper.start();
  }

  async *#hashesIn(lists: readonly { readonly sha256: string }[]) {
    for (const { sha256 } of lists) {
      const hashes = this.lists.get(sha256);
      if (hashes === undefined) throw new Error('the list cannot be read');
      yield hashes;
    }
  }

  get names(): string[] {
    return [...this.blobs.values()].toSorted();
  }

  /** Runs what is ready, each unit leaving a file; then tells the sweeper what was committed. */
  async runReady(namesOf: (step: string, unit: number) => readonly string[]): Promise<void> {
    this.driver.place();
    this.driver.beatHolding('a');
    this.driver.reportAs(
      this.driver.leasesOf('a'),
      ({ job, step: index, unit }): ReportedOutcome => {
        const names = namesOf(this.driver.job(job).steps[index]?.spec.name ?? '', unit);
        for (const name of names) this.blobs.set(shaOf(name), name);
        const outputs = names.map((name) => ({ name, sha256: shaOf(name), sizeBytes: 1 }));
        return { state: 'succeeded', outputs };
      },
    );
    await this.commit();
  }

  /** A whole film: its one kept output is `film of <clientId>`. */
  async runFilm(clientId: string): Promise<number> {
    const { number } = this.driver.submit(FILM, { clientId });
    while (this.driver.job(number).end === undefined) {
      await this.runReady((name, unit) =>
        name === 'concat'
          ? [`film of ${clientId}`]
          : [`${name === 'split' ? 'piece' : 'part'}-${unit}-${clientId}`],
      );
    }
    return number;
  }

  archive(...numbers: readonly number[]): string {
    const jobs = numbers.map((number) => this.driver.job(number));
    const name = `1-${numbers.join('-')}`;
    const { index, images } = encodeSegment(jobs);
    this.stored.set(`${name}/index`, index);
    this.stored.set(`${name}/images`, images);
    const partOf = (bytes: Uint8Array) => ({
      hash: hashOfBytes(bytes),
      sizeBytes: bytes.byteLength,
    });
    this.driver.ask({
      type: 'ArchiveJobs',
      name,
      index: partOf(index),
      images: partOf(images),
      jobs: jobs.map(({ number, end }) => ({ number, endedAtMs: end?.atMs ?? 0 })),
    });
    return name;
  }

  async commit(): Promise<void> {
    const facts: Fact[] = this.driver.facts.slice(this.#told);
    this.#told = this.driver.facts.length;
    const touched = new Set(facts.flatMap((fact) => ('job' in fact ? [fact.job] : [])));
    const views = [...touched].flatMap((number) => {
      const job = this.driver.farm.jobs.get(number);
      return job === undefined ? [] : [viewOfJob(job)];
    });
    this.sweeper.committed({ number: 1, sequence: 1, atMs: 0, facts, views, agents: [] });
    await idle();
  }

  async pass(ms: number): Promise<void> {
    this.driver.nowMs += ms;
    const due = this.#timers.filter(({ atMs }) => atMs <= this.driver.nowMs);
    this.#timers = this.#timers.filter((timer) => !due.includes(timer));
    for (const { run } of due) run();
    await idle();
  }
}

const idle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

let bench: Bench;
beforeEach(() => {
  bench = new Bench();
});

describe('intermediates', () => {
  test('go when the last step that takes them is done, while the job goes on', async () => {
    bench.driver.submit(FILM);
    await bench.runReady(() => ['piece-1', 'piece-2']);
    expect(bench.names).toEqual(['piece-1', 'piece-2']);
    await bench.runReady((_, unit) => [`part-${unit}`]);
    expect(bench.names).toEqual(['part-0', 'part-1']);
    await bench.runReady(() => ['film', 'film.log', 'scratch']);
    expect(bench.names).toEqual(['film', 'film.log']);
  });

  test('stay while another job needs the same bytes', async () => {
    bench.driver.submit(FILM, { clientId: 'one' });
    bench.driver.submit(FILM, { clientId: 'two', priority: -1 });
    // Both are split alike; then the first alone is encoded.
    await bench.runReady(() => ['piece-1']);
    bench.driver.ask({ type: 'PauseJob', job: 2, reason: '' });
    await bench.runReady(() => ['part-1']);
    expect(bench.names).toEqual(['part-1', 'piece-1']);
  });
});

describe('kept outputs', () => {
  test('stay for ever, archived or not, until their job is removed', async () => {
    const [first, second, third] = [
      await bench.runFilm('one'),
      await bench.runFilm('two'),
      await bench.runFilm('three'),
    ];
    bench.archive(first, second);
    await bench.commit();
    await bench.pass(1_000 * HOUR_MS);
    expect(bench.names).toEqual(['film of one', 'film of three', 'film of two']);
    for (const job of [first, third]) bench.driver.ask({ type: 'RemoveJob', job });
    await bench.commit();
    // Soon, not only when everything is swept.
    await bench.pass(10_000);
    expect(bench.names).toEqual(['film of two']);
  });

  test('stay when a later job that made the same bytes is removed', async () => {
    const first = await bench.runFilm('one');
    bench.archive(first);
    const second = bench.driver.submit([step('work', { outputs: keeping('film*') })]).number;
    await bench.runReady(() => ['film of one']);
    bench.driver.ask({ type: 'RemoveJob', job: second });
    await bench.commit();
    await bench.pass(10_000);
    expect(bench.names).toEqual(['film of one']);
  });

  test('go when their retention is over', async () => {
    bench = new Bench(24 * HOUR_MS);
    bench.archive(await bench.runFilm('old'));
    await bench.pass(13 * HOUR_MS);
    await bench.runFilm('new');
    await bench.pass(HOUR_MS);
    expect(bench.names).toEqual(['film of new', 'film of old']);
    await bench.pass(11 * HOUR_MS);
    expect(bench.names).toEqual(['film of new']);
    await bench.pass(13 * HOUR_MS);
    expect(bench.names).toEqual([]);
  });
});

test('while the archive cannot say what it needs, nothing goes; given up, it does', async () => {
  const [lost, other] = [await bench.runFilm('lost'), await bench.runFilm('other')];
  const name = bench.archive(lost);
  bench.stored.set(`${name}/index`, Buffer.from('rubbish'));
  bench.driver.ask({ type: 'RemoveJob', job: other });
  await bench.commit();
  await bench.pass(HOUR_MS);
  expect(bench.names).toEqual(['film of lost', 'film of other']);
  bench.driver.ask({ type: 'RemoveJob', job: lost });
  await bench.commit();
  await bench.pass(10_000);
  expect(bench.names).toEqual([]);
});

describe('what a list of files names', () => {
  const list = { name: 'files', sha256: shaOf('the list'), sizeBytes: 1 };
  const listed = (): StepSpec[] => [
    step('work', {
      parameters: {
        kind: { $case: 'fileList', value: { list, perUnit: 2, count: 4, filesBytes: 4 } },
      },
    }),
  ];

  beforeEach(() => {
    for (const name of ['the list', 'a', 'b', 'other']) bench.blobs.set(shaOf(name), name);
    bench.lists.set(list.sha256, [shaOf('a'), shaOf('b')]);
  });

  test('stays while its job can run, and goes with it', async () => {
    const { number } = bench.driver.submit(listed());
    await bench.commit();
    await bench.pass(HOUR_MS);
    expect(bench.names).toEqual(['a', 'b', 'the list']);
    bench.driver.ask({ type: 'CancelJob', job: number, reason: '' });
    await bench.commit();
    await bench.pass(HOUR_MS);
    expect(bench.names).toEqual([]);
  });

  test('stays where it is also what a unit made and nobody needs any more', async () => {
    bench.driver.submit(listed(), { clientId: 'lists', priority: -1 });
    bench.driver.ask({ type: 'PauseJob', job: 1, reason: '' });
    bench.driver.submit(FILM, { clientId: 'film' });
    await bench.runReady(() => ['a']);
    await bench.runReady((_, unit) => [`part-${unit}`]);
    expect(bench.names).toContain('a');
  });

  test('nothing is deleted while a list cannot be read', async () => {
    bench.driver.submit(listed());
    bench.lists.clear();
    await bench.commit();
    await bench.pass(HOUR_MS);
    expect(bench.names).toEqual(['a', 'b', 'other', 'the list']);
    bench.lists.set(list.sha256, [shaOf('a'), shaOf('b')]);
    await bench.pass(HOUR_MS);
    expect(bench.names).toEqual(['a', 'b', 'the list']);
  });
});
