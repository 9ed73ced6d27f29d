/** Units that use several processors where nobody said how many: on a farm of small agents they are smaller. */
import { expect, test } from 'vitest';
import { stepsOfRequest } from '../../../../coordinator/grpc/submit-request.ts';
import { SubmitJobRequest } from '../../../../proto/gen/furrow/v1/job_service.ts';

const blend = { name: 'scene.blend', sha256: 'a'.repeat(64), sizeBytes: 1000 };
const frames = [{ first: 1, last: 4, step: 1 }];

function cpusOf(work: object, agentCpus: readonly number[]): (number | undefined)[] {
  const request = SubmitJobRequest.fromPartial({ clientId: 'c1', ...work });
  const { steps } = stepsOfRequest(request, {
    models: new Map(),
    filmAgents: () => agentCpus.map((cpus) => ({ name: 'box', encoders: new Set<string>(), cpus })),
    unitsAtOnce: () => 0,
  });
  return steps
    .filter(({ name }) => name === 'render' || name === 'film')
    .map(({ demand }) => demand?.cpuMillis);
}

test.each<[string, object, readonly number[], readonly number[]]>([
  ['two where nobody is known', {}, [], [2000, 2000]],
  ['one where no agent has more', {}, [1, 1], [1000, 1000]],
  ['as many as the largest has, down to whole ones', {}, [0.5, 1.9], [1000, 1000]],
  ['two of many', {}, [1, 32], [2000, 2000]],
  ['as many as were asked for, whoever has them', { cpus: 8 }, [1, 1], [8000, 8000]],
])('%s', (_what, wish, agents, expected) => {
  const value = { scene: blend, frames, film: 'film.mp4', ...wish };
  expect(cpusOf({ work: { $case: 'render', value } }, agents)).toEqual(expected);
});
