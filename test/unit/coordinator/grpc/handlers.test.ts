/** What a stream of answers has around it, by a call that is none. */
import { EventEmitter } from 'node:events';
import { Metadata, type ServerWritableStream, status } from '@grpc/grpc-js';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { Decision } from '../../../../coordinator/access.ts';
import { serverStreaming } from '../../../../coordinator/grpc/handlers.ts';
import { createLog } from '../../../../kit/log.ts';

const PRINCIPAL = { caller: 'view', tokenId: 't', owner: '', agentId: '' } as const;
const ALLOWED: Decision = { state: 'allowed', principal: PRINCIPAL };
const REVOKED: Decision = {
  state: 'refused',
  code: 'unauthenticated',
  reason: 'TOKEN_WRONG',
  message: 'it was revoked',
  isUnknown: true,
};

test('a token that is revoked while its bearer watches shows no more', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  let decision: Decision = ALLOWED;
  const access = { authorise: (): Decision => decision };
  const gate = { access, log: createLog({ role: 'test', level: 'silent' }) };
  const watch = serverStreaming<object, number>(
    gate,
    '/furrow.v1.JobService/WatchJob',
    async (_request, send) => {
      await send(1);
      decision = REVOKED;
      vi.advanceTimersByTime(10_000);
      await send(2);
    },
  );
  const written: number[] = [];
  const call = Object.assign(new EventEmitter(), {
    metadata: new Metadata(),
    request: {},
    write: (message: number) => written.push(message) > 0,
    end: () => expect.unreachable(),
  });
  const ended = new Promise((settle) => call.once('error', settle));
  watch(call as unknown as ServerWritableStream<object, number>);
  expect(await ended).toMatchObject({ code: status.UNAUTHENTICATED });
  expect(written).toEqual([1]);
});
