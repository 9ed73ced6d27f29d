import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { readFarmFile, writeFarmFile, type FarmFile } from '../../../kit/furrow-home.ts';
import { PLAINTEXT } from '../../../kit/trust.ts';
import { OLD_FARM } from '../../support/old-farm.ts';

const FARM: FarmFile = {
  grpc: '127.0.0.1:7400',
  http: 'http://127.0.0.1:7401',
  nats: ['nats://127.0.0.1:4222'],
  pid: 7,
  peers: ['10.0.0.2:7400'],
  trust: { state: 'tls', ca: 'PEM', serverName: 'furrow.internal' },
};

async function farmFile(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'furrow-home-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return join(folder, 'farm.json');
}

describe('farm.json', () => {
  it('is read as it was written, and is undefined while there is none', async () => {
    const path = await farmFile();
    expect(await readFarmFile(path)).toBeUndefined();
    await writeFarmFile(path, FARM);
    expect(await readFarmFile(path)).toEqual(FARM);
  });

  it('of an older version names no peers', async () => {
    const path = await farmFile();
    await writeFile(path, JSON.stringify({ ...FARM, peers: undefined }));
    expect(await readFarmFile(path)).toEqual({ ...FARM, peers: [] });
  });

  it('of 0.1.0 says nothing of TLS, which that farm does not speak', async () => {
    const path = await farmFile();
    await writeFile(path, JSON.stringify(OLD_FARM.farmFile));
    expect(await readFarmFile(path)).toMatchObject({
      grpc: OLD_FARM.farmFile.grpc,
      trust: PLAINTEXT,
    });
  });

  it.each([
    '',
    'null',
    '[]',
    JSON.stringify({ ...FARM, grpc: '' }),
    JSON.stringify({ ...FARM, http: 1 }),
    JSON.stringify({ ...FARM, nats: [1] }),
    JSON.stringify({ ...FARM, pid: 0 }),
    JSON.stringify({ ...FARM, pid: '7' }),
    JSON.stringify({ ...FARM, peers: 'x' }),
    JSON.stringify({ ...FARM, trust: {} }),
    JSON.stringify({ ...FARM, trust: null }),
  ])('is refused with its name and what to do: %s', async (text) => {
    const path = await farmFile();
    await writeFile(path, text);
    await expect(readFarmFile(path)).rejects.toMatchObject({
      reason: 'FARM_FILE_MALFORMED',
      message: expect.stringContaining(path) as string,
    });
  });
});
