import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { PLAIN_STYLE } from '../../../../cli/output/style.ts';
import { textWidth } from '../../../../cli/output/text-width.ts';
import { renderTransfer } from '../../../../cli/output/transfer-view.ts';

const GIB = 2 ** 30;
const transfer = {
  verb: 'sending',
  name: 'clip.mov',
  doneBytes: 1.2 * GIB,
  totalBytes: 2 * GIB,
  bytesPerSecond: 112 * 2 ** 20,
};

test('shows as much as fits', () => {
  const at = (columns: number): string => renderTransfer(transfer, columns, PLAIN_STYLE);
  expect(at(100)).toBe(
    'sending clip.mov  ██████████████░░░░░░░░░░  60%  1.2 GiB of 2 GiB  112 MiB/s',
  );
  expect(at(40)).toBe('sending cli…   60%  1.2 GiB of 2 GiB');
});

test('is never wider than the screen', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme' }),
      fc.nat({ max: 5 * GIB }),
      fc.integer({ min: 20, max: 200 }),
      (name, doneBytes, columns) => {
        const line = renderTransfer({ ...transfer, name, doneBytes }, columns, PLAIN_STYLE);
        expect(textWidth(line)).toBeLessThanOrEqual(columns);
      },
    ),
  );
});
