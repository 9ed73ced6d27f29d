import { FurrowError } from '../../kit/furrow-error.ts';
import type { Unit, UnitState } from '../../proto/gen/furrow/v1/job_service.ts';
import { defineCommand } from '../command.ts';
import { UNIT_STATES } from '../output/names.ts';

const PAGE = 1000;

export const units = defineCommand<{ step?: string; state?: readonly UnitState[] }>({
  name: 'units',
  summary: 'list the work units of a job',
  arguments: [{ syntax: '<job>', help: 'such as j12' }],
  options: [
    { flags: '--step <name>', help: 'only of this step' },
    {
      flags: '--state <state>',
      help: `only in this state: ${[...UNIT_STATES.keys()].join(', ')}; may be repeated`,
      parse: unitState,
    },
  ],
  examples: [['furrow units j12 --state failed', 'what went wrong, and why']],
  async run([jobId = ''], { step = '', state: states = [] }, context) {
    const client = await context.farm();
    const list: Unit[] = [];
    for (let pageToken = ''; ;) {
      const page = await client.call(client.jobs.listUnits.bind(client.jobs), {
        jobId,
        step,
        states,
        pageSize: PAGE,
        pageToken,
      });
      list.push(...page.units);
      pageToken = page.nextPageToken;
      if (pageToken === '') return { report: { kind: 'units', units: list } };
    }
  },
});

function unitState(text: string, previous: readonly UnitState[] | undefined): UnitState[] {
  const state = UNIT_STATES.get(text);
  if (state === undefined) {
    const message = `'${text}' is no state of a unit: ${[...UNIT_STATES.keys()].join(', ')}`;
    throw new FurrowError('invalid', 'OPTION_INVALID', message);
  }
  return [...(previous ?? []), state];
}
