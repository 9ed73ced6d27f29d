/** A farm whose blobs are in a bucket: pieces of a film travel through it, and it may be away a while. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Clips } from '../support/clips.ts';
import { startFarm, type TestFarm, until } from '../support/farm.ts';
import { expectExactFilm, expectSuccess, getJob, submitFilm } from '../support/farm-jobs.ts';
import { readJournal } from '../support/journal-record.ts';
import { encodersUnder } from '../support/processes.ts';
import { startProxy, type Proxy } from '../support/proxy.ts';
import { startTestS3, type TestS3 } from '../support/s3-server.ts';

const CLIP_FRAMES = 100;

let clips: Clips;
let s3: TestS3;
let proxy: Proxy;
beforeAll(async () => {
  clips = await Clips.open();
  s3 = await startTestS3();
  proxy = await startProxy(s3.port);
});
afterAll(async () => {
  await proxy.close();
  await s3.close();
  await clips.close();
});

test('a film is cut, encoded and joined by way of a bucket that goes away while it is encoded', async () => {
  const location = `s3://${s3.bucket}/${s3.prefix}`;
  const farm = await startFarm({
    mediaTools: 'ffmpeg',
    coordinatorEnvironment: {
      ...s3.environment,
      FURROW_BLOBS: location,
      FURROW_S3_ENDPOINT: `http://127.0.0.1:${proxy.port}`,
    },
  });
  const film = await submitFilm(farm, await clips.path('closed-gop'));
  await farm.addAgents({ one: ['--cpus', '2'], two: ['--cpus', '2'] });
  await until('both agents encode', () =>
    ['one', 'two'].every((name) => encodersUnder(farm.agent(name).pid).length > 0),
  );
  proxy.cut();
  await until('the status says so', async () => {
    const { blobStore, blobStoreAnswers, warnings } = await statusOf(farm);
    expect(blobStore).toContain(location);
    return !blobStoreAnswers && warnings.some((line) => line.includes('does not answer'));
  });
  proxy.heal();
  await expectExactFilm(farm, await expectSuccess(farm, film, 120_000), CLIP_FRAMES);
  expect(existsSync(join(farm.home, 'coordinator', 'blobs'))).toBe(false);
  const shown = await farm.furrow('status');
  expect(shown.stdout).toContain(`in ${location}`);
});

test('the leader dies half-way in a film: the standby, with a folder of its own, ends it whole', async () => {
  const farm = await startFarm({
    mediaTools: 'ffmpeg',
    hasStandby: true,
    coordinatorEnvironment: {
      ...s3.environment,
      FURROW_BLOBS: `s3://${s3.bucket}/${s3.prefix}ha`,
      FURROW_S3_ENDPOINT: s3.endpoint,
    },
  });
  const film = await submitFilm(farm, await clips.path('closed-gop'));
  await farm.addAgents({ one: ['--cpus', '2'], two: ['--cpus', '2'] });
  await until('some chunks are done, and others are being encoded', async () => {
    const { steps } = await getJob(farm, film);
    const encode = steps.find(({ name }) => name === 'encode');
    return encode !== undefined && encode.accepted > 0 && encode.leased > 0;
  });
  await farm.coordinator.kill();
  await expectExactFilm(farm, await expectSuccess(farm, film, 120_000), CLIP_FRAMES);
  const journal = await readJournal(farm);
  expect(journal.farm.epoch).toBe(2);
  expect(journal.ended(film), 'no chunk was encoded twice').toEqual([]);
});

function statusOf({ client }: TestFarm) {
  return client.call(client.farm.getStatus.bind(client.farm), {});
}
