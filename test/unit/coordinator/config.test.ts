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
