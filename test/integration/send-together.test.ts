/** Requests over a real server: each is settled once, by its own answer or by the reason for none. */
import { ErrorCode } from 'nats';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { requestTogether, respondTogether } from '../../kit/send-together.ts';
import { startTestNats, type TestNats } from '../support/nats-server.ts';

const LONG = { timeout: 10_000 };
let server: TestNats;

beforeAll(async () => {
  server = await startTestNats();
});
afterAll(() => server.close());

const bytesOf = (text: string): Uint8Array => Buffer.from(text);

test('answers go to their own requests, in whatever order they come', async () => {
  const [asks, answers] = [await server.connect('asks'), await server.connect('answers')];
  answers.subscribe('echo.*', {
    callback: (_error, message) => {
      const say = (): void => respondTogether(answers, message, message.data);
      if (message.subject.endsWith('slow')) setTimeout(say, 50);
      else say();
    },
  });
  await answers.flush();
  const texts = ['slow', 'one', 'two', 'slow', 'three'];
  const replies = await Promise.all(
    texts.map((text) => requestTogether(asks, `echo.${text}`, bytesOf(text), LONG)),
  );
  expect(replies.map((reply) => reply.string())).toEqual(texts);
});

test('nobody there is said at once; no answer in time; too much to send', async () => {
  const nats = await server.connect('asks');
  await expect(requestTogether(nats, 'nobody', bytesOf(''), LONG)).rejects.toMatchObject({
    code: ErrorCode.NoResponders,
  });
  nats.subscribe('silent', { callback: () => undefined });
  const silent = requestTogether(nats, 'silent', bytesOf(''), { timeout: 50 });
  await expect(silent).rejects.toMatchObject({ code: ErrorCode.Timeout });
  const most = nats.info?.max_payload ?? 0;
  const large = requestTogether(nats, 'silent', new Uint8Array(most + 1), LONG);
  await expect(large).rejects.toMatchObject({ code: ErrorCode.MaxPayloadExceeded });
});

test('a connection that closes leaves nobody waiting, and takes no new requests', async () => {
  const nats = await server.connect('asks');
  nats.subscribe('silent', { callback: () => undefined });
  const open = requestTogether(nats, 'silent', bytesOf(''), LONG);
  setTimeout(() => void nats.close(), 20);
  await expect(open).rejects.toMatchObject({ code: ErrorCode.ConnectionClosed });
  const late = requestTogether(nats, 'silent', bytesOf(''), LONG);
  await expect(late).rejects.toMatchObject({ code: ErrorCode.ConnectionClosed });
});

test('a connection that drains takes none, also if it would be its first', async () => {
  const nats = await server.connect('asks');
  const drained = nats.drain();
  const late = requestTogether(nats, 'silent', bytesOf(''), LONG);
  await expect(late).rejects.toMatchObject({ code: ErrorCode.ConnectionDraining });
  await drained;
});
