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
/** A field that is left out here is one that the encoder may forget. */
type Fields = {
  readonly [Field in keyof Required<AdvertiseResponse>]: fc.Arbitrary<AdvertiseResponse[Field]>;
};

const fields: Fields = {
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
  probeAgain: fc.constantFrom(undefined, undefined, true),
  natsJwt: fc.constantFrom(undefined, undefined, 'jwt', 'of another agent'),
};
const answer = fc.record(fields) as fc.Arbitrary<AdvertiseResponse>;
/** Most answers are like the one before, but for one field or none. */
const answers = fc
  .tuple(
    answer,
    fc.array(fc.tuple(answer, fc.constantFrom(...Object.keys(fields))), { maxLength: 20 }),
  )
  .map(([first, changes]) => {
    const all = [first];
    for (const [other, field] of changes) {
      const value = other[field as keyof AdvertiseResponse];
      all.push({ ...first, beat: other.beat, [field]: value });
    }
    return all;
  });

test('every answer is read as it was meant, whichever came before', () => {
  fc.assert(
    fc.property(answers, (said) => {
      const encoder = new BeatAnswers();
      for (const each of said) {
        expect(AdvertiseResponse.decode(encoder.encode(each))).toEqual(each);
      }
    }),
  );
});
