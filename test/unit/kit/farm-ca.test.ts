import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ensureFarmCa, ensureServerIdentity, fingerprintOf } from '../../../kit/farm-ca.ts';
import { FARM_SERVER_NAME } from '../../../kit/trust.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-ca-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('two processes that start together agree on one authority, and a later start finds it', async () => {
  const [one, two] = await Promise.all([ensureFarmCa(folder), ensureFarmCa(folder)]);
  const later = await ensureFarmCa(folder);
  expect(two.certificate).toBe(one.certificate);
  expect(later).toEqual(one);
  expect(fingerprintOf(one.certificate)).toMatch(/^[0-9a-f]{64}$/);
});

test('keys are readable by their owner only', async () => {
  const ca = await ensureFarmCa(folder);
  await ensureServerIdentity(folder, ca, []);
  for (const name of ['ca-key.pem', 'server.pem']) {
    expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600);
  }
});

test('a certificate names the farm, this machine and what was asked for, and is made anew for another name', async () => {
  const ca = await ensureFarmCa(folder);
  const first = await ensureServerIdentity(folder, ca, ['192.168.1.5', 'nas.local']);
  const certificate = new X509Certificate(first.certificate);
  expect(certificate.checkIP('192.168.1.5')).toBeDefined();
  for (const name of ['nas.local', 'localhost', FARM_SERVER_NAME]) {
    expect(certificate.checkHost(name)).toBe(name);
  }
  expect(certificate.verify(new X509Certificate(ca.certificate).publicKey)).toBe(true);
  expect(certificate.ca).toBe(false);
  expect(await ensureServerIdentity(folder, ca, ['nas.local'])).toEqual(first);
  const second = await ensureServerIdentity(folder, ca, ['10.0.0.7']);
  expect(second.key).not.toBe(first.key);
  expect(new X509Certificate(second.certificate).checkIP('10.0.0.7')).toBeDefined();
});

test('a certificate of another authority is not used', async () => {
  const ca = await ensureFarmCa(folder);
  const other = mkdtempSync(join(tmpdir(), 'furrow-ca-'));
  const foreign = await ensureServerIdentity(other, await ensureFarmCa(other), []);
  writeFileSync(join(folder, 'server.pem'), foreign.key + foreign.certificate);
  const own = await ensureServerIdentity(folder, ca, []);
  expect(own.key).not.toBe(foreign.key);
  rmSync(other, { recursive: true });
});

test('a damaged authority is not replaced in silence', async () => {
  writeFileSync(join(folder, 'ca-key.pem'), 'nothing', { mode: 0o600 });
  await expect(ensureFarmCa(folder)).rejects.toMatchObject({ reason: 'FARM_CA_MALFORMED' });
});

test('a key that others can read is refused', async () => {
  writeFileSync(join(folder, 'ca-key.pem'), 'nothing', { mode: 0o644 });
  await expect(ensureFarmCa(folder)).rejects.toMatchObject({ reason: 'KEY_EXPOSED' });
});
