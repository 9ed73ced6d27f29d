/** Files that an earlier run left, after a disk, a crash or an editor had their way with them. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FARM_SEEN_FILE, FarmSeen } from '../../../agent/farm-seen.ts';
import { stateFile } from '../../../agent/state-file.ts';
import { joinedFile, readJoined } from '../../../agent/joined.ts';
import { OutboxLog } from '../../../agent/outbox-log.ts';
import { ProcessRecords } from '../../../agent/process/process-records.ts';
import { readCoordinatorConfig } from '../../../coordinator/config.ts';
import { readKnownTail } from '../../../coordinator/journal/known-tail.ts';
import { FurrowError } from '../../../kit/furrow-error.ts';
import { readFarmFile } from '../../../kit/furrow-home.ts';
import { createLog } from '../../../kit/log.ts';
import { readToken } from '../../../kit/token-file.ts';
import {
  damaged,
  damagedJson,
  damagedText,
  FUZZ_TIMEOUT_MS,
  fuzzOptions,
} from '../../support/fuzz.ts';
import { resultOf } from '../../support/work.ts';

let folder: string;
const log = createLog({ role: 'test', level: 'silent' });
const at = (name: string): string => join(folder, name);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-fuzz-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Reads what was written: an answer, or a refusal that names what is wrong. */
async function readsOrRefuses<T extends string | Uint8Array>(
  content: fc.Arbitrary<T>,
  path: string,
  read: () => unknown,
  runs = 150,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(content, async (bytes) => {
      writeFileSync(path, bytes, { mode: 0o600 });
      try {
        await read();
      } catch (error) {
        if (!(error instanceof FurrowError) || error.code === 'internal') throw error;
      }
    }),
    fuzzOptions(runs) as fc.Parameters<[T]>,
  );
}

test(
  'the log of unreported results: what is read was saved, each as it was',
  async () => {
    const valid = new OutboxLog(at('valid'), log);
    const counters = [1, 2, 3, 4, 5];
    await Promise.all(counters.map((counter) => valid.save(resultOf(counter))));
    await valid.close();
    const bytes = readFileSync(join(at('valid'), 'results.log')).subarray(0, 4_000);
    mkdirSync(at('outbox'));
    const path = join(at('outbox'), 'results.log');
    await readsOrRefuses(damaged(fc.constant(bytes)), path, async () => {
      const found = await new OutboxLog(at('outbox'), log).load();
      for (const result of found) expect(result).toEqual(resultOf(result.token!.counter));
    });
  },
  FUZZ_TIMEOUT_MS,
);

test(
  'what was seen of the journal',
  async () => {
    const tail = { farmId: 'f', epoch: 1, reignId: 'r', sequence: 5, hash: 'ab'.repeat(32) };
    const path = at('identity.json');
    await readsOrRefuses(damagedJson(tail), path, () => readKnownTail(path, log));
    mkdirSync(at('agent'));
    const seen = { farmId: 'f', epoch: 1, place: { farmId: 'f', epoch: 1, sequence: 4 } };
    await readsOrRefuses(damagedJson(seen), join(at('agent'), 'farm-seen.json'), () => {
      return new FarmSeen(stateFile(at('agent'), FARM_SEEN_FILE), log, () => 0).place;
    });
  },
  FUZZ_TIMEOUT_MS,
);

test(
  'farm.json, the token, and the settings',
  async () => {
    const farm = {
      grpc: '127.0.0.1:7400',
      http: 'https://127.0.0.1:7401',
      nats: ['nats://127.0.0.1:7402'],
      pid: 4711,
      peers: [],
      trust: { state: 'tls', ca: 'PEM', serverName: 'furrow.internal' },
    };
    await readsOrRefuses(damagedJson(farm), at('farm.json'), () => readFarmFile(at('farm.json')));
    await readsOrRefuses(damagedText('a'.repeat(43)), at('token'), () => readToken(at('token')));
    mkdirSync(at('coordinator'));
    const settings = { nats: ['nats://127.0.0.1:7402'], grpcPort: 7400, plaintext: false };
    await readsOrRefuses(damagedJson(settings), join(at('coordinator'), 'config.json'), () =>
      readCoordinatorConfig(['--home', folder], {}),
    );
  },
  FUZZ_TIMEOUT_MS,
);

test(
  'what an agent was given when it joined',
  async () => {
    mkdirSync(at('joined'));
    const joined = {
      farmId: 'f',
      farm: '127.0.0.1:7400',
      key: 'k',
      natsSeed: 's',
      trust: { state: 'plaintext' },
    };
    await readsOrRefuses(damagedJson(joined), joinedFile(at('joined')), () =>
      readJoined(at('joined')),
    );
  },
  FUZZ_TIMEOUT_MS,
);

test(
  'records of processes: nothing is ended because of one that is damaged',
  async () => {
    mkdirSync(at('processes'));
    // Of another start of the machine: as far as it can be read, it is passed over.
    const record = { pid: 4711, startTicks: 1, marker: 'm', bootId: 'another' };
    await readsOrRefuses(damagedJson(record), join(at('processes'), 'm'), async () => {
      expect(await new ProcessRecords(at('processes')).endLeftovers()).toEqual([]);
    });
  },
  FUZZ_TIMEOUT_MS,
);
