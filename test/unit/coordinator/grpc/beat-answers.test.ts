import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { BeatAnswers } from '../../../../coordinator/grpc/beat-answers.ts';
import { OPEN_TERMS, policyFromTerms } from '../../../../proto/agent-policy.ts';
import { AdvertiseResponse } from '../../../../proto/gen/furrow/v1/agent_service.ts';

const token = fc.record({ epoch: fc.nat(9), counter: fc.nat(9) });
const place = fc.record({
  farmId: fc.constantFrom('f', 'g'),
  epoch: fc.nat(2),
  reignId: fc.constantFrom('', 'r'),
  sequence: fc.nat(2),
});
const answer: fc.Arbitrary<AdvertiseResponse> = fc.record({
  farmId: fc.constantFrom('f', 'g'),
  epoch: fc.nat(2),
  beat: fc.oneof(fc.nat(300), fc.maxSafeNat()),
  stop: fc.oneof(fc.constant([]), fc.array(token, { maxLength: 2 })),
  retract: fc.oneof(fc.constant([]), fc.array(token, { maxLength: 2 })),
  releasedGrant: fc.nat(2),
  drain: fc.boolean(),
  leaseTtlMs: fc.constantFrom(0, 15_000),
  place: fc.option(place, { nil: undefined }),
  policy: fc.constantFrom(undefined, undefined, policyFromTerms(OPEN_TERMS)),
});

test('every answer is read as it was meant, whichever came before', () => {
  fc.assert(
    fc.property(fc.array(answer, { minLength: 1, maxLength: 20 }), (answers) => {
      const encoder = new BeatAnswers();
      for (const said of answers) {
        expect(AdvertiseResponse.decode(encoder.encode(said))).toEqual(said);
      }
    }),
  );
});
