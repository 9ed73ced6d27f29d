/** Lines that units printed, from the stream FURROW_LOG: what is kept, then what comes. */
import type {
  StreamLogsRequest,
  StreamLogsResponse,
} from '../../proto/gen/furrow/v1/job_service.ts';
import type { LogLines } from '../../proto/gen/furrow/work/v1/work.ts';
import { jobId } from '../domain/farm.ts';
import type { Send } from './handlers.ts';
import { findJob, jobUnknown, type WatchSource } from './watch-job.ts';
import { jobFromWire } from './wire.ts';

export interface LogReader {
  /**
   * Lines of a job, oldest first. With `follow` it goes on until `signal` is aborted; else it ends
   * with what was there.
   */
  read(job: string, follow: boolean, signal: AbortSignal): AsyncIterable<LogLines>;
}

export interface LogSource extends Pick<WatchSource, 'known' | 'reachEnd'> {
  readonly logs: LogReader;
}

const END_POLL_MS = 500;

export async function streamLogs(
  source: LogSource,
  request: StreamLogsRequest,
  send: Send<StreamLogsResponse>,
  signal: AbortSignal,
): Promise<void> {
  const number = jobFromWire(request.jobId);
  const found = await findJob(source, number);
  if (found === undefined) throw jobUnknown(request.jobId);
  const ending = new AbortController();
  const stop = (): void => ending.abort();
  signal.addEventListener('abort', stop, { once: true });
  const stopWhenEnded = async (): Promise<void> => {
    const view = await source.known.job(number);
    if (view?.endedAtMs !== 0) stop();
  };
  const poll = setInterval(() => void stopWhenEnded().catch(() => {}), END_POLL_MS);
  try {
    const isOpen = found.endedAtMs === 0;
    const lines = source.logs.read(jobId(number), request.follow && isOpen, ending.signal);
    for await (const entry of lines) {
      if (signal.aborted) return;
      const unitId = `${jobId(number)}/${entry.step}/${entry.unit}`;
      if (request.unitId !== '' && request.unitId !== unitId) continue;
      const { attempt, agentId, atMs } = entry;
      await send({ unitId, attempt, agentId, atMs, lines: entry.lines });
    }
  } finally {
    clearInterval(poll);
    signal.removeEventListener('abort', stop);
  }
}
