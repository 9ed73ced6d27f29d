/**
 * What a farm of 0.1.0 left behind when all of it was killed at once: written by that version itself, on a
 * machine with one agent, and never to be written anew. j1 echoed thrice, j2 fanned out over two files, j3
 * failed after three attempts, j4 was cancelled, j5 waits paused with four units, j6 runs, and j7 ended on the
 * agent when nobody could be told any more.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

interface OldFarm {
  readonly farmFile: { readonly grpc: string };
  /** The coordinator's memory of the journal's end. */
  readonly identity: { readonly farmId: string; readonly sequence: number; readonly hash: string };
  /** Messages of the stream from sequence 1, in Base64. */
  readonly journal: readonly string[];
  readonly snapshots: readonly { readonly subject: string; readonly data: string }[];
  readonly agent: {
    readonly id: string;
    /** Names and contents of records of processes. */
    readonly processes: readonly (readonly [string, string])[];
    /** Unreported results, without the zeros that the file is filled with. */
    readonly resultsLog: string;
    readonly resultsLogBytes: number;
  };
}

const PATH = join(import.meta.dirname, '..', 'fixtures', 'farm-0.1.0.json');

export const OLD_FARM = JSON.parse(readFileSync(PATH, 'utf8')) as OldFarm;

export const oldJournal = (): Buffer[] =>
  OLD_FARM.journal.map((message) => Buffer.from(message, 'base64'));

/** Lays out the agent's state folder as 0.1.0 had it. */
export function writeOldAgent(folder: string): void {
  const { id, processes, resultsLog, resultsLogBytes } = OLD_FARM.agent;
  const outbox = join(folder, 'farms', OLD_FARM.identity.farmId, 'outbox');
  for (const each of [outbox, join(folder, 'processes')]) mkdirSync(each, { recursive: true });
  writeFileSync(join(folder, 'agent-id'), `${id}\n`);
  for (const [name, record] of processes) writeFileSync(join(folder, 'processes', name), record);
  const log = Buffer.alloc(resultsLogBytes);
  log.set(Buffer.from(resultsLog, 'base64'));
  writeFileSync(join(outbox, 'results.log'), log);
}
