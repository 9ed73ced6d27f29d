#!/usr/bin/env node
/**
 * A small service that uses a Furrow farm over gRPC: encodes a film and brings it home, whole.
 *
 *   transcode.js SOURCE [FOLDER] [--farm HOST:PORT] [--token-file FILE] [--ca FILE]
 *
 * Everything here may be run again, or be cut anywhere and run again: an upload is skipped when the farm
 * has the bytes, the client id makes a second submit the same job, a watch goes on from its cursor, and
 * a download from its offset.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readFileSync } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, extname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs, promisify } from 'node:util';
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';

const PROTO = process.env.FURROW_PROTO ?? join(import.meta.dirname, '..', '..', 'proto');
const CHUNK_BYTES = 256 * 1024;
const UNARY_MS = 30_000;
/** Notices a farm whose machine is gone, where no packet would ever say so. */
const CHANNEL_OPTIONS = {
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.max_reconnect_backoff_ms': 2_000,
};
/** Asking again gives the same answer. All other codes mean that the farm is away, or was cut. */
const FINAL = new Set([
  grpc.status.INVALID_ARGUMENT,
  grpc.status.NOT_FOUND,
  grpc.status.ALREADY_EXISTS,
  grpc.status.PERMISSION_DENIED,
  grpc.status.UNAUTHENTICATED,
  grpc.status.RESOURCE_EXHAUSTED,
  grpc.status.FAILED_PRECONDITION,
  grpc.status.DATA_LOSS,
  grpc.status.UNIMPLEMENTED,
]);
const ENDED = new Set(['JOB_STATE_SUCCEEDED', 'JOB_STATE_FAILED', 'JOB_STATE_CANCELLED']);

/** The services, with the token on every call. */
function connect({ farm: address, 'token-file': tokenFile, ca }) {
  // As the furrow CLI does: flag, then environment, then what lies under $FURROW_HOME.
  const home = process.env.FURROW_HOME ?? join(homedir(), '.furrow');
  const farmFile = join(home, 'farm.json');
  const found = existsSync(farmFile) ? JSON.parse(readFileSync(farmFile, 'utf8')).grpc : undefined;
  const where = address ?? process.env.FURROW_FARM ?? found ?? '127.0.0.1:7400';
  const token =
    tokenFile === undefined && process.env.FURROW_TOKEN
      ? process.env.FURROW_TOKEN
      : readFileSync(tokenFile ?? join(home, 'token'), 'utf8').trim();

  // The farm's own authority. Its certificates carry one name, wherever the farm is.
  const authority = readFileSync(ca ?? process.env.FURROW_CA ?? join(home, 'keys', 'ca.pem'));
  const options = { ...CHANNEL_OPTIONS, 'grpc.ssl_target_name_override': 'furrow.internal' };
  const files = ['job_service', 'blob_service'].map((name) => `furrow/v1/${name}.proto`);
  const definition = protoLoader.loadSync(files, {
    includeDirs: [PROTO],
    enums: String,
    longs: Number,
    defaults: true,
    oneofs: true,
  });
  const { JobService, BlobService } = grpc.loadPackageDefinition(definition).furrow.v1;
  const metadata = new grpc.Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  const clients = [JobService, BlobService].map(
    (Service) => new Service(where, grpc.credentials.createSsl(authority), options),
  );
  const [jobs, blobs] = clients;
  const call = (client, method, request) =>
    promisify(client[method].bind(client))(request, metadata, { deadline: Date.now() + UNARY_MS });
  const close = () => clients.forEach((client) => client.close());
  return { jobs, blobs, metadata, call, close };
}

/** Calls until the farm answers, with growing, jittered pauses. */
async function untilAnswered(attempt) {
  for (let pauseMs = 250; ; pauseMs = Math.min(pauseMs * 2, 5_000)) {
    try {
      return await attempt();
    } catch (error) {
      if (error.code === undefined || typeof error.code === 'string' || FINAL.has(error.code)) {
        throw error;
      }
      console.log(`the farm is away (${grpc.status[error.code]}), trying again`);
    }
    await sleep(pauseMs * (0.5 + Math.random() / 2));
  }
}

async function sha256Of(path) {
  const digest = createHash('sha256');
  for await (const chunk of createReadStream(path)) digest.update(chunk);
  return digest.digest('hex');
}

/** Brings a file to the farm unless it is there, which then keeps it for an hour for a submit. */
async function upload(farm, path) {
  const file = {
    name: basename(path),
    sha256: await sha256Of(path),
    sizeBytes: (await stat(path)).size,
  };
  const sent = await untilAnswered(async () => {
    const { missing } = await farm.call(farm.blobs, 'FindMissingBlobs', { sha256: [file.sha256] });
    if (missing.length > 0) await send(farm, path, file);
    return missing.length > 0;
  });
  console.log(`${file.name}: ${sent ? 'sent' : 'the farm has it already'}`);
  return file;
}

async function send(farm, path, { sha256, sizeBytes }) {
  let call;
  const stored = new Promise((resolve, reject) => {
    call = farm.blobs.UploadBlob(farm.metadata, (error, answer) =>
      error === null ? resolve(answer) : reject(error),
    );
  });
  // Refused while we still write: then there is nobody to write to.
  stored.catch(() => call.destroy());
  call.write({ header: { sha256, sizeBytes } });
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES })) {
    if (call.destroyed) break;
    if (!call.write({ chunk })) {
      await Promise.race([new Promise((resolve) => call.once('drain', resolve)), stored]);
    }
  }
  call.end();
  await stored;
}

async function submit(farm, source) {
  const transcode = {
    source,
    video: { encoder: 'libx264', crf: 23, preset: 'veryfast' },
    film: `${basename(source.name, extname(source.name))}.mp4`,
    pieceMs: 2_000,
  };
  // Made of what is asked for: whoever asks for the same gets the same job, also after a crash.
  const content = createHash('sha256').update(JSON.stringify(transcode)).digest('hex');
  const request = { clientId: `example-${content}`, name: source.name, transcode };
  const { job, alreadySubmitted } = await untilAnswered(() =>
    farm.call(farm.jobs, 'SubmitJob', request),
  );
  console.log(`${job.id} ${alreadySubmitted ? 'had been submitted before' : 'submitted'}`);
  return job.id;
}

/** Follows the job to its end, across restarts of the farm. Answers the ended job. */
async function watch(farm, jobId) {
  let cursor = '';
  let told = '';
  const follow = async () => {
    let ended;
    for await (const message of farm.jobs.WatchJob({ jobId, cursor }, farm.metadata)) {
      // Progress has no cursor: it cannot be resumed, and need not be.
      cursor = message.cursor || cursor;
      if (message.event !== 'job') continue;
      const { job } = message;
      const steps = job.steps.map(({ name, accepted, total }) => `${name} ${accepted}/${total}`);
      if (told !== (told = steps.join(', '))) console.log(`${jobId} ${told}`);
      if (ENDED.has(job.state)) ended = job;
    }
    return ended; // Undefined: the farm stops in good order, and will be back.
  };
  for (;;) {
    const job = await untilAnswered(follow);
    if (job !== undefined) return job;
    await sleep(500);
  }
}

/** Under its final name whole and verified, or not at all. */
async function download(farm, { name, sha256 }, folder) {
  // The name comes from elsewhere: it must not choose a folder.
  const target = join(folder, basename(name));
  const part = join(folder, `.${basename(name)}.part`);
  const digest = createHash('sha256');
  const file = await open(part, 'w');
  try {
    let offset = 0;
    await untilAnswered(async () => {
      for await (const { chunk } of farm.blobs.DownloadBlob({ sha256, offset }, farm.metadata)) {
        await file.writeFile(chunk);
        digest.update(chunk);
        offset += chunk.length;
      }
    });
    await file.sync();
  } finally {
    await file.close();
  }
  if (digest.digest('hex') !== sha256) {
    await rm(part);
    throw new Error(`${name} did not arrive as the farm has it: run this again`);
  }
  await rename(part, target);
  console.log(`${target} ${sha256}`);
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      farm: { type: 'string' },
      'token-file': { type: 'string' },
      ca: { type: 'string' },
    },
  });
  const [source, folder = '.'] = positionals;
  if (source === undefined) throw new Error('usage: transcode.js SOURCE [FOLDER]');
  const farm = connect(values);
  try {
    const job = await watch(farm, await submit(farm, await upload(farm, source)));
    if (job.state !== 'JOB_STATE_SUCCEEDED')
      throw new Error(`${job.id} ${job.state}: ${job.reason}`);
    for (const output of job.outputs) await download(farm, output, folder);
  } finally {
    farm.close();
  }
}

main().catch((error) => {
  console.error(error.details ?? error.message);
  process.exitCode = 1;
});
