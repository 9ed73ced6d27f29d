import { ErrorCode, NatsError } from 'nats';
import { expect, test } from 'vitest';
import { natsTrouble } from '../../../../coordinator/journal/nats-trouble.ts';
import { FurrowError } from '../../../../kit/furrow-error.ts';

test('a server that is silent or without a leader is away for a while', () => {
  for (const code of [ErrorCode.Timeout, ErrorCode.NoResponders, ErrorCode.ConnectionClosed]) {
    expect(natsTrouble(new NatsError(code, code))).toMatchObject({
      code: 'unavailable',
      reason: 'JOURNAL_UNREACHABLE',
    });
  }
  expect(natsTrouble(apiError(503, 'JetStream system temporarily unavailable'))).toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining('JetStream system temporarily unavailable'),
  });
});

test('what the server refuses stays refused until somebody mends it', () => {
  const refusal = natsTrouble(apiError(400, 'subjects overlap with an existing stream'));
  expect(refusal).toMatchObject({ code: 'failed-precondition', reason: 'NATS_REFUSES' });
});

test('our own errors and programmer errors are left as they are', () => {
  const own = new FurrowError('data-loss', 'STORE_RESTORED', 'older');
  expect(natsTrouble(own)).toBe(own);
  const bug = new TypeError('undefined is not a function');
  expect(natsTrouble(bug)).toBe(bug);
});

function apiError(code: number, description: string): NatsError {
  const error = new NatsError(description, String(code));
  error.api_error = { code, description, err_code: 10_000 };
  return error;
}
