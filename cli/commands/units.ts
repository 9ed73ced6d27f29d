import { FurrowError } from '../../kit/furrow-error.ts';
import type { Unit } from '../../proto/gen/furrow/v1/job_service.ts';
import { defineCommand } from '../command.ts';
import { noteAge } from '../output/note-age.ts';
import { UNIT_STATE_NAMES, type UnitStateName } from '../output/unit-state-names.ts';

const PAGE = 1000;

export const units = defineCommand<{ step?: string; state?: readonly UnitStateName[] }>({
  name: 'units',
  summary: 'list the work units of a job',
  arguments: [{ syntax: '<job>', help: 'such as j12' }],
  options: [
    { flags: '--step <name>', help: 'only of this step' },
    {
      flags: '--state <state>',
      help: `only in this state: ${UNIT_STATE_NAMES.join(', ')}; may be repeated`,
      parse: unitState,
    },
  ],
  examples: [['furrow units j12 --state failed', 'what went wrong, and why']],
  async run([jobId = ''], { step = '', state: wanted = [] }, context) {
    const { unitStateOf } = await import('../output/names.ts');
    const states = wanted.map(unitStateOf);
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
      if (pageToken !== '') continue;
      noteAge(context.out, page.ageMs);
      return { report: { kind: 'units', units: list, ageMs: page.ageMs } };
    }
  },
});

function unitState(text: string, previous: readonly UnitStateName[] | undefined): UnitStateName[] {
  const state = UNIT_STATE_NAMES.find((name) => name === text);
  if (state === undefined) {
    const message = `'${text}' is no state of a unit: ${UNIT_STATE_NAMES.join(', ')}`;
    throw new FurrowError('invalid', 'OPTION_INVALID', message);
  }
  return [...(previous ?? []), state];
}
