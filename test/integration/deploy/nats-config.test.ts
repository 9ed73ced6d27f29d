/** The configuration that Kubernetes gives its NATS servers, read by a real nats-server of both ends of what we support. */
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { findNatsServer } from '../../../cli/up/nats-binary.ts';

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
  // As the pod's first container does it, in folders of ours. A token may look like a number.
  writeFileSync(join(folder, 'nats.conf'), config);
  writeFileSync(join(folder, 'token'), '12345e6789012345678901234567890123456789012\n');
  const [sh, flags, script] = pod.initContainers[0].command as [string, string, string];
  const ours = script
    .replace('cp /config/nats.conf /run/nats/nats.conf\n', '')
    .replaceAll('/keys/token', join(folder, 'token'))
    .replaceAll('/run/nats', folder);
  execFileSync(sh, [flags, ours]);
  const run = promisify(execFile)(binary, ['--config', join(folder, 'nats.conf'), '-t'], {
    env: { ...process.env, POD_NAME: 'furrow-nats-0' },
  });
  const { stderr } = await run;
  expect(stderr).toContain('is valid');
});

test('it syncs before it acknowledges', () => {
  expect(config).toContain('sync_interval: always');
});
