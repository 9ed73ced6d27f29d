/** Which agents a step of commands goes to, by what their owners allow. */
import { expect, test } from 'vitest';
import { declaredDemand } from '../../../../coordinator/domain/farm.ts';
import { faultOfDemand } from '../../../../coordinator/domain/misfit.ts';
import type { ProgramRules } from '../../../../coordinator/domain/programs.ts';
import { NO_DEMAND } from '../../../../coordinator/domain/demand.ts';
import { FarmDriver, step } from '../../../support/farm-driver.ts';

const command = (program: string, network?: boolean) =>
  step('run', {
    task: {
      kind: { $case: 'command', value: { argv: [program, '-x'], environment: {}, network } },
    },
    demand: NO_DEMAND,
  });

const rules = (allowed: readonly string[], network = false): ProgramRules => ({ allowed, network });

function farmOf(agents: Readonly<Record<string, ProgramRules | undefined>>): FarmDriver {
  const driver = new FarmDriver();
  for (const [name, programs] of Object.entries(agents)) driver.enrol(name, { programs });
  return driver;
}

function placed(driver: FarmDriver, ...steps: readonly ReturnType<typeof step>[]): unknown {
  driver.submit(steps);
  return driver.place().map(({ agentId }) => agentId);
}

test('a program follows from the task, what a step demands stays', () => {
  expect(declaredDemand(command('ffmpeg')).attributes).toEqual(['command:ffmpeg']);
  expect(declaredDemand(command('ffmpeg', true)).attributes).toEqual(['command:ffmpeg', 'network']);
  const demand = { ...NO_DEMAND, attributes: ['tag:studio'] };
  expect(declaredDemand({ ...command('a'), demand }).attributes).toEqual([
    'tag:studio',
    'command:a',
  ]);
  const noop = step('n', { task: { kind: { $case: 'noop', value: {} } }, demand });
  expect(declaredDemand(noop)).toBe(demand);
});

test('a unit goes where its program is allowed', () => {
  const agents = { none: rules([]), other: rules(['blender']), mine: rules(['ffmpeg', 'echo']) };
  expect(placed(farmOf(agents), command('echo'))).toEqual(['mine']);
});

test.each<[string, ProgramRules | undefined]>([
  ['allows all', rules(['*'])],
  ['is of a version without such rules', undefined],
])('and where the owner %s', (_what, programs) => {
  expect(placed(farmOf({ none: rules([]), any: programs }), command('{item}'))).toEqual(['any']);
});

test('one that needs the network goes where that is allowed too', () => {
  const agents = { offline: rules(['*']), online: rules(['*'], true) };
  expect(placed(farmOf(agents), command('curl', true))).toEqual(['online']);
});

test.each(['scanScene', 'renderFrames'] as const)(
  'a task %s goes where Blender is allowed',
  ($case) => {
    const value = { file: 'a.blend', settings: undefined, frames: [], framesPerUnit: 0 };
    const task = { kind: { $case, value } } as const;
    const agents = { none: rules([]), other: rules(['cat']), mine: rules(['blender']) };
    const look = step('look', { task, demand: NO_DEMAND });
    expect(declaredDemand(look).attributes).toEqual(['command:blender']);
    expect(placed(farmOf(agents), look)).toEqual(['mine']);
  },
);

test('films run everywhere', () => {
  const split = { $case: 'split', value: { source: 'a.mov', pieceMs: 0 } } as const;
  expect(placed(farmOf({ none: rules([]) }), step('split', { task: { kind: split } }))).toEqual([
    'none',
  ]);
});

test.each<[ReturnType<typeof step>, string]>([
  [
    command('echo'),
    "step run runs echo, which no agent's owner allows: start one with --allow-commands echo",
  ],
  [
    command('ffmpeg', true),
    "step run uses the network, which no agent's owner allows: start one with --allow-network",
  ],
])('what no owner allows is refused at submit, with the remedy', (refused, fault) => {
  const driver = farmOf({ one: rules(['ffmpeg']), two: rules([]) });
  expect(faultOfDemand([refused], driver.liveness.agents, (id) => id)).toBe(fault);
});

test('what one agent allows and another has is not said to be allowed nowhere', () => {
  const driver = new FarmDriver();
  driver.enrol('allows', { programs: rules(['echo']) });
  driver.enrol('tagged', { programs: rules([]), attributes: ['tag:studio'] });
  const demand = { ...NO_DEMAND, attributes: ['tag:studio'] };
  const fault = faultOfDemand([{ ...command('echo'), demand }], driver.liveness.agents, (id) => id);
  expect(fault).toContain('needs tag:studio, command:echo, which no agent has together');
});
