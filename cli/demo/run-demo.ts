/**
 * The demo from start to end: a farm of its own with two agents, one film in chunks, one `kill -9`
 * half-way, the film fetched and counted, and everything ended again, however it goes.
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../kit/clock.ts';
import { FurrowError } from '../../kit/furrow-error.ts';
import { furrowHome } from '../../kit/furrow-home.ts';
import { JobState, type Job } from '../../proto/gen/furrow/v1/job_service.ts';
import { blobTarget } from '../blobs.ts';
import { FarmClient } from '../client.ts';
import type { CommandContext } from '../command.ts';
import { followJob } from '../follow-job.ts';
import { checkSource, type LocalFile } from '../local-files.ts';
import { newProgressModel } from '../output/progress-model.ts';
import type { WatchView } from '../output/watch-view.ts';
import type { DemoReport } from '../report.ts';
import { submit } from '../submit-job.ts';
import { startFarm, type RunningFarm } from '../up/up.ts';
import { uploadFiles } from '../upload-files.ts';
import { DEMO_LEASE_TTL_MS, openDemoHome, type DemoHome } from './demo-home.ts';
import { fetchFilm, readProof } from './film.ts';
import { CLIP_SECONDS, countFrames, filmLengthMs, renderClip } from './media.ts';
import { newStory, tellStory, victimOf, type Story } from './story.ts';

const AGENTS = ['box-1', 'box-2'];
/** Enough that each agent has several units at once, and few enough that some still wait. */
const MIN_CORES = 2;
const MAX_CORES = 4;
const CHUNKS_WANTED = 15;
const MIN_PIECE_MS = 1_000;
const MAX_PIECE_MS = 10_000;
const HINT = 'Ctrl-C ends the demo.';

export type DemoEnd =
  | { readonly state: 'done'; readonly report: DemoReport }
  | { readonly state: 'failed'; readonly reason: string };

/** FurrowError: those of checkSource, filmLengthMs, startFarm and fetchFilm; aborted INTERRUPTED. */
export async function runDemo(file: string | undefined, outer: CommandContext): Promise<DemoEnd> {
  const { out, signal } = outer;
  const startedAtMs = performance.now();
  // What is wrong with the file is known before anything is started.
  const given = file === undefined ? undefined : await checkSource(file);
  const lengthMs = given ? await filmLengthMs(given.path, signal) : CLIP_SECONDS * 1000;
  const home = openDemoHome(outer.environment);
  process.on('exit', home.remove);
  let keepsLogs = false;
  try {
    if (!given) out.note(`rendering a clip of ${CLIP_SECONDS} s to work on`);
    const rendering = given ?? renderSource(home, signal);
    out.note(`starting a farm with the agents ${AGENTS.join(' and ')}`);
    const [farm, source] = await both(startDemoFarm(home, outer), rendering);
    const { grpc: address, trust } = farm.farm;
    const client = new FarmClient({ address, trust, token: farm.token }, signal);
    try {
      const context = contextOf(client, home, outer);
      return await makeFilm(source, lengthMs, startedAtMs, farm, context);
    } finally {
      client.close();
      // Nothing of it is kept: nobody need wait for units that drain.
      if (signal.aborted) farm.kill();
      await farm.stop(() => undefined);
    }
  } catch (error) {
    if (signal.aborted) throw interrupted(error);
    keepsLogs = isFaultOfFarm(error);
    if (keepsLogs) out.complain(`the farm's logs are kept in ${home.root}`);
    throw error;
  } finally {
    process.off('exit', home.remove);
    if (!keepsLogs) home.remove();
  }
}

/** Waits for both, and stops the farm when it is the other that failed. */
async function both(
  starting: Promise<RunningFarm>,
  rendering: LocalFile | Promise<LocalFile>,
): Promise<[RunningFarm, LocalFile]> {
  const [farm, source] = await Promise.allSettled([starting, rendering]);
  if (farm.status === 'rejected') throw farm.reason;
  if (source.status === 'fulfilled') return [farm.value, source.value];
  await farm.value.stop(() => undefined);
  throw source.reason;
}

async function renderSource({ root }: DemoHome, signal: AbortSignal): Promise<LocalFile> {
  const path = join(root, 'demo.mp4');
  await renderClip(path, signal);
  return checkSource(path);
}

function startDemoFarm(home: DemoHome, { out, signal }: CommandContext): Promise<RunningFarm> {
  const share = Math.floor(availableParallelism() / AGENTS.length);
  return startFarm({
    home: furrowHome(home.root),
    environment: home.environment,
    clock: systemClock,
    agents: AGENTS,
    coresPerAgent: Math.min(MAX_CORES, Math.max(MIN_CORES, share)),
    grpcPort: 0,
    httpPort: 0,
    natsPort: 0,
    listen: '127.0.0.1',
    advertise: undefined,
    signal,
    onEvent: (part, { kind }) => out.note(`${part}: ${kind}`),
  });
}

/** The same commands, on the demo's farm. */
function contextOf(
  client: FarmClient,
  { environment }: DemoHome,
  outer: CommandContext,
): CommandContext {
  return { ...outer, environment, farm: async () => client, blobs: () => blobTarget(client) };
}

async function makeFilm(
  source: LocalFile,
  lengthMs: number,
  startedAtMs: number,
  farm: RunningFarm,
  context: CommandContext,
): Promise<DemoEnd> {
  const { out, signal } = context;
  const submitted = await submitFilm(source, lengthMs, context);
  const { job, story } = await followAndKill(submitted, farm, context);
  if (job.state !== JobState.JOB_STATE_SUCCEEDED) {
    return { state: 'failed', reason: job.reason || 'the job was cancelled' };
  }
  const { film, proof } = await fetchFilm(job, context);
  out.note('counting the frames of source and film, and stopping the farm');
  const [sourceFrames, filmFrames] = await Promise.all([
    countFrames(source.path, signal),
    countFrames(film.path, signal),
    farm.stop(() => undefined),
  ]);
  return {
    state: 'done',
    report: {
      kind: 'demo',
      source: source.name,
      sourceFrames,
      film,
      filmFrames,
      proof,
      ...(await readProof(proof.path)),
      chunksBy: Object.fromEntries(story.chunksBy),
      kill: story.kill,
      losses: story.losses,
      leaseTtlMs: DEMO_LEASE_TTL_MS,
      submittedAtMs: job.submittedAtMs,
      endedAtMs: job.endedAtMs,
      tookMs: Math.round(performance.now() - startedAtMs),
    },
  };
}

async function submitFilm(
  source: LocalFile,
  lengthMs: number,
  context: CommandContext,
): Promise<Job> {
  const [file] = await uploadFiles([source], context);
  const pieceMs = Math.round(lengthMs / CHUNKS_WANTED);
  const value = {
    source: file,
    video: { encoder: '', crf: 0, preset: 'fast', width: 0, height: 0, threads: 0 },
    audio: { encoder: '', bitrateBps: 0 },
    film: '',
    // A length that is not known takes the farm's default.
    pieceMs: lengthMs === 0 ? 0 : Math.min(MAX_PIECE_MS, Math.max(MIN_PIECE_MS, pieceMs)),
  };
  const { job } = await submit({ $case: 'transcode', value }, source.name, {}, context);
  context.out.note(`submitted ${source.name} as ${job.id}`);
  return job;
}

async function followAndKill(
  { id }: Job,
  farm: RunningFarm,
  context: CommandContext,
): Promise<{ job: Job; story: Story }> {
  const client = await context.farm();
  const { agents } = await client.call(client.farm.listAgents.bind(client.farm), {});
  const names = new Map(agents.map((agent) => [agent.id, agent.name]));
  let story = newStory(newProgressModel(id, names));
  const job = await followJob(id, context, {
    hint: HINT,
    onEvent(event, view) {
      story = tellStory(story, event, Date.now());
      const victim = victimOf(story);
      if (victim !== undefined) story = killAgent(victim, story, farm, view);
    },
  });
  return { job, story };
}

function killAgent(agent: string, story: Story, farm: RunningFarm, view: WatchView): Story {
  const encode = story.model.job?.steps.find((step) => step.name === 'encode');
  const kill = { agent, atMs: Date.now(), chunksDone: encode?.accepted ?? 0 };
  const pid = farm.killAgent(agent);
  view.say({
    tone: 'bad',
    text: `kill -9 ${pid}: ${agent} is dead. Its leases end when it has been silent for ${DEMO_LEASE_TTL_MS / 1000} s`,
  });
  return { ...story, kill };
}

function isFaultOfFarm(error: unknown): boolean {
  return (
    !(error instanceof FurrowError) ||
    ['internal', 'unavailable'].includes(error.code) ||
    error.reason === 'ROLE_REFUSED'
  );
}

function interrupted(cause: unknown): FurrowError {
  const message = 'interrupted: the demo is over, and nothing of it is left running';
  return new FurrowError('aborted', 'INTERRUPTED', message, { cause });
}
