import type { StreamLogsResponse } from '../../proto/gen/furrow/v1/job_service.ts';
import { defineCommand, type CommandContext } from '../command.ts';
import { logJson } from '../output/json.ts';
import { shortUnitId } from '../output/progress-model.ts';
import { printable } from '../output/text-width.ts';

export const logs = defineCommand<{ follow?: boolean }>({
  name: 'logs',
  summary: 'what units printed',
  description: 'Prints what the units of a job, or one unit, wrote to their output, oldest first.',
  arguments: [{ syntax: '<job-or-unit>', help: 'such as j12 or j12/encode/7' }],
  options: [{ flags: '-f, --follow', help: 'stay and print new lines until the job ends' }],
  examples: [
    ['furrow logs j12/encode/7', 'one unit'],
    ['furrow logs j12 -f', 'a whole job as it goes'],
  ],
  async run([id = ''], { follow = false }, context) {
    const client = await context.farm();
    const isUnit = id.includes('/');
    const request = { jobId: id.split('/')[0] ?? '', unitId: isUnit ? id : '', follow };
    const messages = client.stream(client.jobs.streamLogs.bind(client.jobs), request);
    for await (const message of messages) printLog(message, isUnit, context);
    return {};
  },
});

/** Lines of a whole job say which unit they are from; a terminal is not steered by them. */
function printLog(message: StreamLogsResponse, isUnit: boolean, { out }: CommandContext): void {
  if (out.json) return out.jsonLine(logJson(message));
  const again = message.attempt > 1 ? ` (attempt ${message.attempt})` : '';
  const prefix = isUnit ? '' : `${out.style.cyan(`${shortUnitId(message.unitId)}${again}`)}  `;
  for (const line of message.lines) {
    out.line(`${prefix}${out.terminal ? printable(line) : line}`);
  }
}
