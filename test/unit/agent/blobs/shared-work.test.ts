import { describe, expect, it } from 'vitest';
import { SharedWork } from '../../../../agent/blobs/shared-work.ts';

/** Work that ends when told to, or when it is aborted. */
function stoppable() {
  let runs = 0;
  let finish = (_value: string): void => undefined;
  const work = (signal: AbortSignal): Promise<string> => {
    runs += 1;
    return new Promise((resolve, reject) => {
      finish = resolve;
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
  };
  return { work, runs: () => runs, finish: (value: string) => finish(value) };
}

describe('shared work', () => {
  it('runs once for all who want it', async () => {
    const shared = new SharedWork<string>();
    const { work, runs, finish } = stoppable();
    const signal = new AbortController().signal;
    const both = [shared.run('k', signal, work), shared.run('k', signal, work)];
    await Promise.resolve();
    finish('done');
    expect(await Promise.all(both)).toEqual(['done', 'done']);
    expect(runs()).toBe(1);
  });

  it('goes on while anybody waits, and stops when the last one leaves', async () => {
    const shared = new SharedWork<string>();
    const { work, runs, finish } = stoppable();
    const [one, two] = [new AbortController(), new AbortController()];
    const first = shared.run('k', one.signal, work);
    const second = shared.run('k', two.signal, work);
    one.abort(new Error('one left'));
    await expect(first).rejects.toThrow('one left');
    two.abort(new Error('two left'));
    await expect(second).rejects.toThrow('two left');
    const third = shared.run('k', new AbortController().signal, work);
    await expect.poll(runs).toBe(2);
    finish('anew');
    expect(await third).toBe('anew');
  });

  it('tells everybody of a failure', async () => {
    const shared = new SharedWork<string>();
    const signal = new AbortController().signal;
    const fail = () => Promise.reject(new Error('no'));
    const both = await Promise.allSettled([
      shared.run('k', signal, fail),
      shared.run('k', signal, fail),
    ]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });
});
