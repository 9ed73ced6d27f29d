/** The blob store as attempts see it. */
import { join } from 'node:path';
import type { EnrolAgentResponse } from '../proto/gen/furrow/v1/agent_service.ts';
import { downloadBlob, uploadBlob } from '../kit/blob-transfer.ts';
import { sha256File } from '../kit/sha256-file.ts';
import type { Logger } from '../kit/log.ts';
import type { AgentConfig } from './config.ts';
import type { BlobTransfer } from './execute-unit.ts';

export async function openBlobs(
  config: AgentConfig,
  enrolment: EnrolAgentResponse,
  _log: Logger,
): Promise<BlobTransfer> {
  const target = { url: enrolment.blobUrl, token: config.token };
  return {
    place: (file, directory, signal) =>
      downloadBlob(target, file, join(directory, file.name), { signal }),
    upload: async (path, signal) => {
      const blob = await sha256File(path, { signal });
      await uploadBlob(target, path, blob, { signal, isResult: true });
      return blob;
    },
  };
}
