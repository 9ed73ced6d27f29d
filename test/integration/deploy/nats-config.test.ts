/** The configuration that Kubernetes gives its NATS servers, read by a real nats-server of both ends of what we support. */
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { findNatsServer } from '../../../cli/up/nats-binary.ts';
import { clusterConfig } from '../../../cli/up/nats-identity.ts';
import { furrowHome } from '../../../kit/furrow-home.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const OLD_NATS = join(ROOT, '.furrow-tools', 'nats-2.10', 'nats-server');

interface Part {
  readonly kind: string;
  readonly data: Readonly<Record<string, string>>;
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly spec: any;
}

const parts = parseAllDocuments(
  readFileSync(join(ROOT, 'deploy', 'kubernetes', 'nats.yaml'), 'utf8'),
).map((document) => document.toJS() as Part);
const config = parts.find(({ kind }) => kind === 'ConfigMap')!.data['nats.conf']!;
const pod = parts.find(({ kind }) => kind === 'StatefulSet')!.spec.template.spec;

test.each(['usual', 'oldest'])('the %s nats-server takes it', async (which) => {
  const found = await findNatsServer(ROOT, process.env);
  const binary = which === 'usual' || !existsSync(OLD_NATS) ? found.path : OLD_NATS;
  const folder = mkdtempSync(join(tmpdir(), 'furrow-nats-config-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  // As the head of kustomization.yaml says, and the pod's first container does it, in folders of ours.
  const home = furrowHome(join(folder, 'farm'), {});
  const where = {
    certificate: join(folder, 'run', 'nats-server.pem'),
    accounts: join(folder, 'a'),
  };
  const accounts = await clusterConfig(home, where);
  writeFileSync(join(home.keysDir, 'accounts.conf'), accounts);
  mkdirSync(join(folder, 'run'));
  writeFileSync(join(folder, 'nats.conf'), config.replace('/data', join(folder, 'data')));
  const [sh, flags, script] = pod.initContainers[0].command as [string, string, string];
  const ours = script
    .replaceAll('/config/', `${folder}/`)
    .replaceAll('/keys/', `${home.keysDir}/`)
    .replaceAll('/run/nats', join(folder, 'run'));
  execFileSync(sh, [flags, ours]);
  const run = promisify(execFile)(binary, ['--config', join(folder, 'run', 'nats.conf'), '-t'], {
    env: { ...process.env, POD_NAME: 'furrow-nats-0' },
  });
  const { stderr } = await run;
  expect(stderr).toContain('is valid');
});

test('it syncs before it acknowledges', () => {
  expect(config).toContain('sync_interval: always');
});
