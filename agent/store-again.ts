/** Uploading a result's outputs once more, because the farm has lost them. */
import { join } from 'node:path';
import type { Token } from '../proto/gen/furrow/v1/agent_service.ts';
import type { Result } from '../proto/gen/furrow/work/v1/work.ts';
import { messageOf } from '../kit/furrow-error.ts';
import type { ExecutorPorts, BlobTransfer } from './executor-ports.ts';
import { persist } from './persist.ts';

/** Answers what to offer now: the same result, or a failure that says why its files cannot be had. */
export async function storeAgain(
  ports: Pick<ExecutorPorts, 'files' | 'blobs'>,
  result: Result,
  missing: readonly string[],
  signal: AbortSignal,
): Promise<Result> {
  const directory = ports.files.find(result.token as Token);
  const files = result.outcome?.$case === 'success' ? result.outcome.value.outputs : [];
  try {
    for (const file of files) {
      if (!missing.includes(file.sha256)) continue;
      if (directory === null) throw new Error('its directory is gone');
      const upload = (): ReturnType<BlobTransfer['upload']> =>
        ports.blobs.upload(join(directory, file.name), signal);
      const stored = await persist(upload, signal, Infinity);
      if (stored.sha256 !== file.sha256) throw new Error(`${file.name} has changed`);
    }
    return result;
  } catch (error) {
    const message = `outputs were lost after they were stored: ${messageOf(error)}`;
    return {
      ...result,
      outcome: { $case: 'failure', value: { kind: 'infrastructure', message } },
    };
  }
}
