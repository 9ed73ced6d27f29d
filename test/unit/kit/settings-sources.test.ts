import { describe, expect, it } from 'vitest';
import {
  DEFAULT_SOURCE,
  fileSource,
  flagSource,
  layerSettings,
  withoutSecrets,
} from '../../../kit/settings-sources.ts';

describe('layers of settings', () => {
  it('give the strongest value, and where that is from', () => {
    const { values, sourceOf } = layerSettings([
      { values: { a: 1, b: 1, c: 1 }, sourceOf: () => fileSource('config.json') },
      { values: { b: 2, c: undefined }, sourceOf: (key) => flagSource(`--${key}`) },
    ]);
    expect(values).toEqual({ a: 1, b: 2, c: 1 });
    expect(['a', 'b', 'c', 'd'].map(sourceOf)).toEqual([
      fileSource('config.json'),
      flagSource('--b'),
      fileSource('config.json'),
      DEFAULT_SOURCE,
    ]);
  });
});

it.each([
  ['furrow://h:1?ca=sha256:ab&token=secret', 'furrow://h:1?ca=sha256:ab&token=…'],
  ['furrow://h:1?token=secret&ca=sha256:ab', 'furrow://h:1?token=…&ca=sha256:ab'],
  ['nats://user:secret@h:1', 'nats://…@h:1'],
  [
    ['nats://secret@h:1', 'nats://h:2'],
    ['nats://…@h:1', 'nats://h:2'],
  ],
  ['user@example', 'user@example'],
  [7, 7],
])('%j is shown as %j', (value, shown) => {
  expect(withoutSecrets(value)).toEqual(shown);
});
