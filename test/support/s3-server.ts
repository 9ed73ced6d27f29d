/**
 * A real S3 service for tests. By default s3rver, a process of its own over a temporary folder. It is
 * old (2021) and lenient: it takes parts of any length, compares no checksums, and knows neither
 * aborting nor listing unfinished uploads. So the same tests run against any other service too:
 *
 *   FURROW_TEST_S3_ENDPOINT=http://127.0.0.1:9000 FURROW_TEST_S3_BUCKET=furrow-test \
 *   AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… npx vitest run test/integration/s3-store.test.ts
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface TestS3 {
  readonly endpoint: string;
  readonly port: number;
  readonly bucket: string;
  /** Its own for each caller, so that a bucket can be shared. */
  readonly prefix: string;
  /** Credentials for processes that use it; this process has them already. */
  readonly environment: NodeJS.ProcessEnv;
  close(): Promise<void>;
}

const BUCKET = 'furrow-test';

export async function startTestS3(): Promise<TestS3> {
  const prefix = `${randomUUID()}/`;
  const { FURROW_TEST_S3_ENDPOINT: endpoint, FURROW_TEST_S3_BUCKET: bucket = BUCKET } = process.env;
  if (endpoint !== undefined) {
    const port = Number(new URL(endpoint).port);
    return { endpoint, port, bucket, prefix, environment: {}, close: async () => {} };
  }
  const environment = { AWS_ACCESS_KEY_ID: 'S3RVER', AWS_SECRET_ACCESS_KEY: 'S3RVER' };
  Object.assign(process.env, environment);
  const directory = await mkdtemp(join(tmpdir(), 'furrow-s3-'));
  const child = spawnS3rver(directory);
  process.once('exit', () => child.kill('SIGKILL'));
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const port = await portOf(child);
  return {
    endpoint: `http://127.0.0.1:${port}`,
    port,
    bucket: BUCKET,
    prefix,
    environment,
    close: async () => {
      child.kill('SIGKILL');
      await exited;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function spawnS3rver(directory: string): ChildProcess {
  const program = createRequire(import.meta.url).resolve('s3rver/bin/s3rver.js');
  const argv = ['-d', directory, '-a', '127.0.0.1', '-p', '0', '--no-vhost-buckets', '-s'];
  return spawn(process.execPath, [program, ...argv, '--configure-bucket', BUCKET], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

/** From the line in which it says that it listens. */
async function portOf(child: ChildProcess): Promise<number> {
  if (child.stdout === null) throw new Error('s3rver has no output');
  for await (const line of createInterface(child.stdout)) {
    const port = /listening on .*:(\d+)$/.exec(line)?.[1];
    if (port === undefined) continue;
    child.stdout.resume();
    return Number(port);
  }
  throw new Error('s3rver ended before it listened');
}
