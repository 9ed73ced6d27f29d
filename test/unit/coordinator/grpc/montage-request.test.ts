/** A montage over gRPC: the request becomes steps, and their tasks go through the protocol unchanged. */
import { expect, test } from 'vitest';
import { stepsOfRequest } from '../../../../coordinator/grpc/submit-request.ts';
import { SubmitJobRequest } from '../../../../proto/gen/furrow/v1/job_service.ts';
import { MontageRequest } from '../../../../proto/gen/furrow/v1/recipe_montage.ts';
import { Task } from '../../../../proto/gen/furrow/v1/task.ts';

const file = (name: string) => ({ name, sha256: 'a'.repeat(64), sizeBytes: 1000 });

function sent(style: string): SubmitJobRequest {
  const value = MontageRequest.fromPartial({
    style,
    proxies: true,
    clipSound: 0.25,
    rate: { num: 30_000, den: 1001 },
  });
  const clips = [file('a.mp4'), file('b.mp4')];
  const request: SubmitJobRequest = {
    ...SubmitJobRequest.fromPartial({ clientId: 'c1' }),
    work: { $case: 'montage', value: { ...value, clips, music: file('song.mp3') } },
  };
  return SubmitJobRequest.decode(SubmitJobRequest.encode(request).finish());
}

test('it is named for its style, and its tasks survive the journal and the grant', () => {
  const { recipe, name, steps } = stepsOfRequest(sent('noir'), {
    models: new Map(),
    unitsAtOnce: () => 0,
  });
  expect([recipe, name]).toEqual(['montage', 'montage noir']);
  expect(steps.length).toBe(11);
  for (const { task } of steps) {
    const message = task as Task;
    expect(Task.decode(Task.encode(message).finish())).toEqual(message);
  }
});

test('a prompt is no style', () => {
  expect(() =>
    stepsOfRequest(sent('make it pop'), { models: new Map(), unitsAtOnce: () => 0 }),
  ).toThrow(/no style "make it pop": use calm/);
});
