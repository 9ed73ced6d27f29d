/** What units printed, as it comes. */
import type { StreamLogsResponse } from '../../proto/gen/furrow/v1/job_service.ts';
import { logJson } from './json.ts';
import type { Output } from './output.ts';
import { shortUnitId } from './progress-model.ts';
import { printable } from './text-width.ts';

/** Lines of a whole job say which unit they are from; a terminal is not steered by them. */
export function printLog(message: StreamLogsResponse, isUnit: boolean, out: Output): void {
  if (out.json) return out.jsonLine(logJson(message));
  const again = message.attempt > 1 ? ` (attempt ${message.attempt})` : '';
  const prefix = isUnit ? '' : `${out.style.cyan(`${shortUnitId(message.unitId)}${again}`)}  `;
  for (const line of message.lines) {
    out.line(`${prefix}${out.terminal ? printable(line) : line}`);
  }
}
