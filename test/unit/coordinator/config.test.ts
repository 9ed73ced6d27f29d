import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readCoordinatorConfig } from '../../../coordinator/config.ts';

const environment = { FURROW_HOME: join(tmpdir(), 'furrow-config-that-is-not-there') };
const read = (argv: readonly string[], more: NodeJS.ProcessEnv = {}) =>
  readCoordinatorConfig(argv, { ...environment, ...more });

describe('settings of the blob store', () => {
  it('are flags before environment', () => {
    const endpoint = { FURROW_BLOBS: 's3://other', FURROW_S3_ENDPOINT: 'http://nas:9000' };
    expect(read(['--blobs', 's3://films/a', '--s3-path-style', 'false'], endpoint)).toMatchObject({
      blobs: 's3://films/a',
      s3Endpoint: 'http://nas:9000',
      s3PathStyle: false,
    });
    expect(read([]).blobs).toBeUndefined();
  });

  it.each([
    ['--blobs', '/srv/films'],
    ['--blobs', 's3://Films'],
    ['--s3-endpoint', 'http://nas:9000'],
    ['--blobs', 's3://films', '--s3-endpoint', 'nas:9000'],
  ])('are refused in one line: %s %s', (...argv) => {
    expect(() => read(argv)).toThrow(/see furrow coordinator --help$/);
  });
});

describe('plain text', () => {
  it.each([
    [['--plaintext', '--listen', '0.0.0.0'], 'reaches beyond this machine'],
    [['--nats', 'nats://10.0.0.5:4222', '--nats-token-file', 'x'], 'without TLS'],
    [['--nats', 'nats://127.0.0.1:1,nats://nas:1', '--nats-token-file', 'x'], 'without TLS'],
  ])('does not leave this machine: %j', (argv, why) => {
    expect(() => read(argv)).toThrow(why);
  });

  it.each([
    [['--plaintext', '--listen', '127.0.0.1']],
    [['--nats', 'nats://127.0.0.1:4222']],
    [['--nats', 'nats://[::1]:4222']],
    [['--nats', 'nats://10.0.0.5:4222', '--nats-private']],
    [['--nats', 'tls://10.0.0.5:4222', '--nats-token-file', 'x']],
    [['--nats', 'tls://a:4222', '--nats-creds', 'x', '--nats-account-key', 'y']],
  ])('is for loopback: %j is taken', (argv) => {
    expect(() => read(argv)).not.toThrow();
  });

  it("and the farm's own token is told to no server elsewhere", () => {
    expect(() => read(['--nats', 'tls://10.0.0.5:4222'])).toThrow('--nats-token-file');
    // Whoever reads the log must not read the password.
    expect(() => read(['--nats', 'tls://u:pw@10.0.0.5:1'])).toThrow(
      '--nats tls://…@10.0.0.5:1 needs',
    );
  });
});

describe('the time between heartbeats', () => {
  it.each([
    { ttl: 60_000, beats: 3_000 },
    { ttl: 15_000, beats: 3_000 },
    { ttl: 3_000, beats: 600 },
    { ttl: 1_000, beats: 200 },
  ])('is $beats ms for a lease of $ttl ms', ({ ttl, beats }) => {
    expect(read(['--lease-ttl-ms', String(ttl)]).heartbeatMs).toBe(beats);
  });

  it('is what was asked for, up to half of a lease', () => {
    expect(read(['--heartbeat-ms', '7500']).heartbeatMs).toBe(7_500);
    expect(() => read(['--heartbeat-ms', '7501'])).toThrow(/at most half/);
  });

  it('leaves no lease shorter than a second', () => {
    expect(() => read(['--lease-ttl-ms', '999'])).toThrow(/leaseTtlMs/);
  });
});
