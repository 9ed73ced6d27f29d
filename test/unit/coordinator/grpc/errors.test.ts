import { expect, test } from 'vitest';
import { statusOf } from '../../../../coordinator/grpc/errors.ts';
import { FurrowError } from '../../../../kit/furrow-error.ts';

test('a message that was cut within a character can be sent all the same', () => {
  const cut = 'job \u{1f600}'.slice(0, -1);
  const { details } = statusOf(new FurrowError('invalid', 'NAME_INVALID', `no such ${cut}`));
  // grpc-js does just this with it, where an exception ends the process.
  expect(() => encodeURI(`no such ${cut}`)).toThrow(URIError);
  expect(encodeURI(details)).toContain('no%20such%20job');
});
