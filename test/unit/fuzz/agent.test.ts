/** What an agent hears from whoever holds the farm's address, and what its owner writes: nothing of it ends the agent. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { isAbsolute, join, relative } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { leasesIn } from '../../../agent/assignment.ts';
import { checkpointVerdict } from '../../../agent/checkpoint-saver.ts';
import { matchesPattern } from '../../../agent/collect-outputs.ts';
import { readAgentConfig } from '../../../agent/config.ts';
import { FARM_SEEN_FILE, FarmSeen } from '../../../agent/farm-seen.ts';
import { whyNotFitting } from '../../../agent/fits.ts';
import { clashOf } from '../../../agent/input-names.ts';
import { LeaseKeeper } from '../../../agent/lease-keeper.ts';
import { natsWay } from '../../../agent/nats-way.ts';
import { Outbox } from '../../../agent/outbox.ts';
import { heardTerms } from '../../../agent/owner/heard-terms.ts';
import { OwnerWatch } from '../../../agent/owner/owner-watch.ts';
import { alignVerdicts, packResults } from '../../../agent/result-columns.ts';
import { heartbeatMsOf } from '../../../agent/session.ts';
import { stateFile } from '../../../agent/state-file.ts';
import { matchesPattern as coordinatorMatches } from '../../../coordinator/domain/names.ts';
import { CoordinatorChannel } from '../../../kit/coordinator-channel.ts';
import { LEADER_DETAIL, NOT_LEADER } from '../../../kit/coordinator-route.ts';
import { FurrowError } from '../../../kit/furrow-error.ts';
import { addressIn, sendRequest } from '../../../kit/http-request.ts';
import { createLog } from '../../../kit/log.ts';
import { unsafeName } from '../../../kit/safe-name.ts';
import { PLAINTEXT } from '../../../kit/trust.ts';
import { OPEN_TERMS } from '../../../proto/agent-policy.ts';
import {
  AdvertiseRequest,
  AdvertiseResponse,
  Capacity,
  EnrolAgentResponse,
} from '../../../proto/gen/furrow/v1/agent_service.ts';
import {
  CheckpointReply,
  FileList,
  Grant,
  GrantReply,
  Reign,
  ResultReply,
  Verdict,
} from '../../../proto/gen/furrow/work/v1/work.ts';
import { arbitraryMessage } from '../../support/arbitrary-message.ts';
import {
  damaged,
  damagedJson,
  damagedText,
  FUZZ_TIMEOUT_MS,
  neverCrashes,
  fuzzOptions,
} from '../../support/fuzz.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { resultOf, stepShare } from '../../support/work.ts';

const log = createLog({ role: 'test', level: 'silent' });
const NOW = { monotonicMs: 1, wallMs: 1 };

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-fuzz-agent-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Messages of the right shape with whatever values, and damaged ones: those that can be read at all. */
function messages<T>(type: string, codec: { decode(bytes: Uint8Array): T }): fc.Arbitrary<T> {
  const whole = arbitraryMessage(type);
  return fc
    .oneof({ weight: 4, arbitrary: whole }, { weight: 1, arbitrary: damaged(whole) })
    .map((bytes) => {
      try {
        return codec.decode(bytes);
      } catch {
        // It never got as far as to the agent: whoever receives it drops it.
        return undefined;
      }
    })
    .filter((message) => message !== undefined);
}

/** Whatever the generated types say of it. */
const odd = (fields: object): object => fields;

const capacity = Capacity.fromPartial(
  odd({
    cpuMillis: 8_000,
    ramTotalBytes: 2 ** 34,
    ramAvailableBytes: 2 ** 34,
    scratchFreeBytes: 2 ** 40,
    attributes: ['tool:command'],
  }),
);

function newKeeper(): LeaseKeeper {
  const keeper = new LeaseKeeper({
    farmId: 'farm',
    leaseTtlMs: 15_000,
    fits: (demand, beside, gpuIds) => whyNotFitting(demand, beside, gpuIds, capacity),
  });
  const { beat } = keeper.nextBeat(NOW);
  keeper.beatAnswered(AdvertiseResponse.fromPartial({ farmId: 'farm', epoch: 1, beat }));
  return keeper;
}

test(
  'grants: what was not refused is in the inventory, and no more than a machine can hold',
  () => {
    const grants = fc.array(messages('furrow.work.v1.Grant', Grant), { maxLength: 3 });
    neverCrashes(
      grants,
      (some) => {
        const keeper = newKeeper();
        some.forEach((heard, index) => {
          const grant = { ...heard, farmId: 'farm', epoch: 1, number: index + 1 };
          const reply = keeper.handleGrant(grant);
          if (reply !== null) GrantReply.encode(reply).finish();
        });
        for (let begun = 0; begun < 20 && keeper.startNext(NOW) !== null; begun += 1);
        const beat = keeper.nextBeat(NOW);
        expect(beat.grantsHandled).toBe(some.length);
        expect(beat.inventory.length).toBeLessThanOrEqual(400_000);
        AdvertiseRequest.encode(AdvertiseRequest.fromPartial(odd(beat))).finish();
      },
      80,
    );
  },
  FUZZ_TIMEOUT_MS,
);

test('a grant of more leases than memory has room for is refused as a whole', () => {
  const keeper = newKeeper();
  const run = { firstUnit: 0, attempt: 1, gpuIds: [], firstToken: { epoch: 1, counter: 1 } };
  const runs = Array.from({ length: 1_000 }, () => ({ ...run, count: 2 ** 32 - 1 }));
  const steps = [{ ...stepShare({ counters: [] }), runs }];
  expect(leasesIn(steps)).toBe(1_000 * (2 ** 32 - 1));
  expect(keeper.handleGrant({ farmId: 'farm', epoch: 1, number: 1, steps })).toEqual({
    refused: [],
    refusedAll: 'it holds 0 leases, and 4294967295000 more are too many',
  });
  expect(keeper.nextBeat(NOW).inventory).toEqual([]);
});

function newOwner(): OwnerWatch {
  return new OwnerWatch({
    clock: new ManualClock(),
    own: OPEN_TERMS,
    readUse: () =>
      Promise.resolve({ inputIdleMs: 5, loadPercent: undefined, gpuPercent: undefined }),
    changed: () => undefined,
    limitTransfers: (bytesPerSecond) => expect(bytesPerSecond).toBeGreaterThanOrEqual(0),
  });
}

test(
  'answers on the stream: policies, places, orders',
  () => {
    mkdirSync(join(folder, 'seen'));
    const file = stateFile(join(folder, 'seen'), FARM_SEEN_FILE);
    const answers = messages('furrow.v1.AdvertiseResponse', AdvertiseResponse);
    neverCrashes(answers, (heard) => {
      const keeper = newKeeper();
      keeper.handleGrant({
        farmId: 'farm',
        epoch: 1,
        number: 1,
        steps: [stepShare({ counters: [1, 2, 3] })],
      });
      const taken = keeper.beatAnswered({ ...heard, farmId: 'farm' });
      expect(taken.state).toBe(heard.epoch > 0 ? 'taken' : 'ignored');
      const owner = newOwner();
      owner.start({ close: () => {}, open: () => {}, evict: () => Promise.resolve() });
      if (heard.policy !== undefined) owner.heard(heardTerms(heard.policy, log));
      Capacity.encode(owner.offered(capacity)).finish();
      owner.stop();
      const seen = new FarmSeen(file, log, () => 0);
      seen.note(heard.place);
      seen.write();
      expect(typeof new FarmSeen(file, log, () => 0).highestEpochOf('farm')).toBe('number');
    });
  },
  FUZZ_TIMEOUT_MS,
);

test.each([
  ['of a time zone that this machine does not know', { timeZone: 'Mars/Olympus' }],
  ['of a pause without an end', { pausedUntilMs: Number.MAX_SAFE_INTEGER }],
  ['of hours that are none', { hours: [{ days: [9], startMinute: 5_000, endMinute: 0 }] }],
])('a policy %s closes the machine, and ends nothing', (_, changed) => {
  const { policy } = AdvertiseResponse.fromPartial(odd({ policy: { hours: [], ...changed } }));
  const owner = newOwner();
  owner.heard(heardTerms(policy!, log));
  expect(owner.isClosed).toBe(true);
});

test(
  'verdicts on results',
  () =>
    neverCrashes(messages('furrow.work.v1.ResultReply', ResultReply), (reply) => {
      const outbox = new Outbox(() => 0.5);
      for (const counter of [1, 2, 3]) outbox.put(resultOf(counter), 0);
      outbox.put(
        { ...resultOf(4), outcome: { $case: 'failure', value: { kind: 'failed', message: 'x' } } },
        0,
      );
      const batch = outbox.nextBatch(1)!;
      const orders = outbox.settle(batch, alignVerdicts(reply, batch, packResults(batch)), 1);
      const closed = orders.filter(({ order }) => order === 'close').length;
      expect(outbox.size).toBe(batch.length - closed);
    }),
  FUZZ_TIMEOUT_MS,
);

test(
  'what it is told when it enrols',
  () => {
    const joined = { farmId: 'f', farm: 'a:1', key: 'k', natsSeed: 's', trust: PLAINTEXT };
    const enrolments = messages('furrow.v1.EnrolAgentResponse', EnrolAgentResponse);
    neverCrashes(enrolments, (enrolment) => {
      const everyMs = heartbeatMsOf(enrolment);
      expect(everyMs).toBeGreaterThanOrEqual(50);
      expect(everyMs).toBeLessThanOrEqual(60_000);
      natsWay(enrolment, joined, { now: enrolment.natsJwt });
    });
  },
  FUZZ_TIMEOUT_MS,
);

test(
  'where its files are said to be: the key goes nowhere without TLS, and what is no address is said to be none',
  () => {
    const enrolments = messages('furrow.v1.EnrolAgentResponse', EnrolAgentResponse);
    const texts = damagedText('https://127.0.0.1:7401', 'http://a.invalid', 'file:///etc', 'a:1');
    const urls = fc.oneof(
      enrolments.map(({ blobUrl }) => blobUrl),
      texts,
    );
    const trust = { state: 'tls', ca: 'pem' } as const;
    neverCrashes(urls, (url) => {
      expect(addressIn({ url, token: 'k', trust }, '/blobs/missing').protocol).toBe('https:');
    });
    neverCrashes(urls, (url) => {
      expect(addressIn({ url, token: 'k' }, '/uploads').protocol).toMatch(/^https?:$/);
    });
  },
  FUZZ_TIMEOUT_MS,
);

test.each([
  ['http://127.0.0.1:1', 'BLOB_URL_PLAINTEXT'],
  ['127.0.0.1:1', 'BLOB_URL_BAD'],
  ['', 'BLOB_URL_BAD'],
])('a blob that should come from %j does not', async (url, reason) => {
  const target = { url, token: 'k', trust: { state: 'tls' } as const };
  const request = { method: 'GET', path: '/healthz' };
  await expect(sendRequest(target, request)).rejects.toMatchObject({ code: 'unavailable', reason });
});

test(
  'answers to checkpoints: saved only if they say so',
  () => {
    const replies = messages('furrow.work.v1.CheckpointReply', CheckpointReply);
    neverCrashes(replies, (reply) => {
      const { state } = checkpointVerdict(reply);
      expect(['saved', 'stale', 'again', 'refused']).toContain(state);
      expect(state === 'saved').toBe(reply.verdict === Verdict.VERDICT_ACCEPTED);
      expect(state === 'stale').toBe(reply.verdict === Verdict.VERDICT_STALE);
    });
  },
  FUZZ_TIMEOUT_MS,
);

test(
  'where a leader is said to be: one of its own addresses is always left to ask',
  () => {
    const reigns = messages('furrow.work.v1.Reign', Reign).map((reign) => reign.grpcAddress);
    const addresses = fc.oneof(reigns, damagedText('127.0.0.1:7400', '[::1]:7400', 'dns:///x:1'));
    neverCrashes(
      fc.array(addresses, { maxLength: 30 }),
      (leaders) => {
        const channel = new CoordinatorChannel('a.invalid:1,b.invalid:1', PLAINTEXT, {});
        try {
          for (const leader of leaders) {
            const details = { [LEADER_DETAIL]: leader };
            const error = new FurrowError('unavailable', NOT_LEADER, 'stands by', { details });
            channel.failed(error, channel.address);
            expect(channel.getTarget()).toContain(':');
          }
          const away = new FurrowError('unavailable', 'AWAY', 'away');
          for (let tries = 0; tries < 4; tries += 1) channel.failed(away, channel.address);
          expect(channel.address).toMatch(/^[ab]\.invalid:1$/);
        } finally {
          channel.close();
        }
      },
      100,
    );
  },
  FUZZ_TIMEOUT_MS,
);

test(
  'names of inputs: none that is taken leaves its directory',
  () => {
    const lists = messages('furrow.work.v1.FileList', FileList);
    const names = fc.array(damagedText('a/b.png', '../x', 'C:\\x', 'nul', '/etc/passwd'));
    const both = fc.oneof(
      lists.map(({ files }) => files),
      names.map((some) => some.map((name) => ({ name, sha256: '0'.repeat(64), sizeBytes: 1 }))),
    );
    neverCrashes(both, (files) => {
      clashOf(files);
      for (const { name } of files) {
        if (unsafeName(name) !== undefined) continue;
        const way = relative('/attempt', join('/attempt', name));
        expect(isAbsolute(way) || way === '' || way === '..' || way.startsWith('../')).toBe(false);
      }
    });
  },
  FUZZ_TIMEOUT_MS,
);

test(
  'patterns of outputs: as the coordinator understands them, and soon',
  () => {
    const text = fc.stringMatching(/^[ab/*.]{0,12}$/);
    const name = fc.stringMatching(/^[ab/.]{0,12}$/);
    fc.assert(
      fc.property(name, text, (of, pattern) => {
        expect(matchesPattern(of, pattern)).toBe(coordinatorMatches(of, pattern));
      }),
      fuzzOptions(3_000) as fc.Parameters<[string, string]>,
    );
    // A regular expression would look at this for years.
    expect(matchesPattern('a'.repeat(250), `${'*a'.repeat(120)}*b`)).toBe(false);
  },
  FUZZ_TIMEOUT_MS,
);

const SETTINGS = {
  cpus: '4',
  ram: '16GiB',
  maxUnits: '4',
  maxWaiting: '3',
  tag: 'studio,night',
  pool: 'film',
  tools: { blender: 'blender --version' },
  drainGraceMs: '30000',
  blobCacheBytes: '20GiB',
  maxBandwidth: '20MB/s',
  mode: 'idle',
  onBusy: 'evict',
  grace: '60s',
  idleAfter: '5m',
  hours: 'mon-fri 19:00-07:00',
  timeZone: 'Europe/Berlin',
  maxVramPercent: '50',
};

test(
  "the owner's settings: figures that a machine can have, or one line",
  async () => {
    const state = join(folder, 'state');
    mkdirSync(state);
    writeFileSync(join(folder, 'token'), 'a'.repeat(43), { mode: 0o600 });
    const argv = ['--home', folder, '--state', state, '--farm', '127.0.0.1:1', '--plaintext'];
    await fc.assert(
      fc.asyncProperty(damagedJson(SETTINGS), async (text) => {
        writeFileSync(join(state, 'config.json'), text);
        try {
          const { own, ...config } = await readAgentConfig(argv, {});
          const { cpus, ram, maxUnits, drainGraceMs, blobCacheBytes } = config;
          const { maxBytesPerSecond } = own;
          for (const figure of [ram, maxUnits, drainGraceMs, blobCacheBytes, maxBytesPerSecond]) {
            expect({ figure, isOne: Number.isSafeInteger(figure) && figure >= 0 }).toEqual({
              figure,
              isOne: true,
            });
          }
          expect(cpus).toBeLessThanOrEqual(4096);
          expect(own.graceMs).toBeLessThanOrEqual(7 * 24 * 3_600_000);
        } catch (error) {
          if (!(error instanceof FurrowError) || error.code === 'internal') throw error;
          if (error.message.includes('\n')) throw new Error('two lines', { cause: error });
        }
      }),
      fuzzOptions(300) as fc.Parameters<[string]>,
    );
  },
  FUZZ_TIMEOUT_MS,
);

test.each(['9'.repeat(400), '99999999999TiB'])('a size such as %.20s… is refused', async (ram) => {
  const argv = ['--home', folder, '--farm', '127.0.0.1:1', '--plaintext', '--ram', ram];
  await expect(readAgentConfig(argv, {})).rejects.toMatchObject({
    message: 'ram: is larger than any machine: give less',
  });
});
