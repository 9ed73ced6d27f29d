/** Two farms of one machine, known to a third user by their URLs. */
import { X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { formatFarmUrl } from '../../kit/farm-url.ts';
import { temporaryFolder } from '../support/blobs.ts';
import { runCli, startUpFarm, type CliRun, type UpFarm } from '../support/up-farm.ts';

let farms: readonly UpFarm[];

beforeAll(async () => {
  farms = await Promise.all([startUpFarm({ agents: 0 }), startUpFarm({ agents: 0 })]);
});

afterAll(() => Promise.all(farms.map((farm) => farm.close())));

async function pinOf({ home }: UpFarm): Promise<string> {
  const ca = new X509Certificate(await readFile(join(home, 'keys', 'ca.pem')));
  return ca.fingerprint256.replaceAll(':', '').toLowerCase();
}

test('farms by name: added by URL, used, listed; a wrong pin is refused', async () => {
  const [staging, prod] = farms as [UpFarm, UpFarm];
  const FURROW_HOME = await temporaryFolder();
  const furrow = (line: string, stdin?: string, more: NodeJS.ProcessEnv = {}): Promise<CliRun> =>
    runCli(line.split(' '), { environment: { ...process.env, FURROW_HOME, ...more }, stdin });
  const urlOf = async (farm: UpFarm, pin?: string): Promise<string> =>
    formatFarmUrl({
      address: farm.grpc,
      caSha256: pin ?? (await pinOf(farm)),
      token: farm.token,
    });

  // The other farm's authority: somebody else answers there.
  const wrong = await furrow('context add prod -', await urlOf(prod, await pinOf(staging)));
  expect(wrong).toMatchObject({ exitCode: 7, stdout: '' });
  expect(wrong.stderr).toMatch(/^furrow: context prod: .* does not show the certificate authority/);

  for (const [name, farm] of [
    ['staging', staging],
    ['prod', prod],
  ] as const) {
    const added = await furrow(`context add ${name} -`, await urlOf(farm));
    expect(added).toMatchObject({ exitCode: 0, stdout: `${name} is known here: ${farm.grpc}\n` });
  }
  expect(await furrow('context use prod')).toMatchObject({ exitCode: 0 });
  const list = await furrow('context list');
  expect(list.stdout).toContain(`staging  ${staging.grpc}`);
  expect(list.stdout).toMatch(new RegExp(`^\\* +prod +${prod.grpc} +sha256:[0-9a-f]{64}$`, 'm'));
  expect(list.stdout).not.toContain(prod.token);

  const addressOf = async (line: string, more?: NodeJS.ProcessEnv): Promise<unknown> => {
    const { exitCode, stdout, stderr } = await furrow(`status --json ${line}`.trim(), '', more);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    const { address, context } = JSON.parse(stdout) as { address: string; context: string };
    return [address, context];
  };
  expect(await addressOf('')).toEqual([prod.grpc, 'prod']);
  expect(await addressOf('--context staging')).toEqual([staging.grpc, 'staging']);
  expect(await addressOf('', { FURROW_CONTEXT: 'staging' })).toEqual([staging.grpc, 'staging']);

  // The URL of a token that the farm made; one that only lets machines join is none for a client.
  for (const [role, exitCode] of [
    ['view', 0],
    ['submit --owner mia', 0],
    ['agent', 7],
  ] as const) {
    const made = await staging.cli(`token create --json --role ${role}`.split(' '));
    const { url } = JSON.parse(made.stdout) as { url: string };
    expect(await furrow('context add guest - --replace', url)).toMatchObject({ exitCode });
  }

  // A farm that was set up anew at the same address has another authority.
  const path = join(FURROW_HOME, 'contexts.json');
  const stored = JSON.parse(await readFile(path, 'utf8'));
  stored.farms.staging.trust = stored.farms.prod.trust;
  await writeFile(path, JSON.stringify(stored));
  expect(await furrow('jobs --context staging')).toMatchObject({
    exitCode: 7,
    stderr: expect.stringMatching(
      /^furrow: context staging: what answers at .* is not known here .*furrow context add staging - --replace\n$/,
    ),
  });

  // Stored without a look, the pin is held against whoever answers at each use.
  const blind = await urlOf(staging, await pinOf(prod));
  expect(await furrow('context add blind - --no-check', blind)).toMatchObject({ exitCode: 0 });
  expect(await furrow('jobs --context blind')).toMatchObject({
    exitCode: 7,
    stderr: expect.stringContaining('furrow: context blind: what answers at'),
  });
});
