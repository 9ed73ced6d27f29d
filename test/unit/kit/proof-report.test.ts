import { describe, expect, test } from 'vitest';
import { isProof, parseProof, proofText, type Check } from '../../../kit/proof-report.ts';

const FILE = { name: 'film.mp4', sizeBytes: 12, sha256: 'a'.repeat(64) };
const WELL: Check = { check: 'frames', expected: 100, found: 100 };
const ILL: Check = { check: 'frames', expected: 100, found: 99, finding: 'it has 99 frames' };

describe('a proof', () => {
  test('reads back as it was written', () => {
    const facts = { frames: 100, source: { codec: 'h264', width: 320 } };
    expect(parseProof(proofText([FILE], [WELL, ILL], facts))).toEqual({
      ok: false,
      files: [FILE],
      facts,
      checks: [
        { ...WELL, ok: true },
        { ...ILL, ok: false },
      ],
    });
  });

  test('is not ok where one check is not, whatever it says of itself', () => {
    const text = proofText([FILE], [ILL], {}).replace('"ok": false', '"ok": true');
    expect(parseProof(text)?.ok).toBe(false);
  });

  test('without a check proves nothing', () => {
    expect(parseProof(proofText([FILE], [], {}))?.ok).toBe(false);
  });

  test('of version 0.1 is read: its film is its file', () => {
    const film = { ...FILE, codec: 'h264', width: 320 };
    const checks = [{ ...WELL, ok: true }];
    const text = JSON.stringify({ version: 1, ok: true, film, frames: 100, chunks: 4, checks });
    expect(parseProof(text)).toEqual({
      ok: true,
      files: [FILE],
      facts: { film, frames: 100, chunks: 4 },
      checks,
    });
  });

  test('leaves out what cannot be shown, and keeps the rest', () => {
    const text = proofText([FILE], [WELL], {}).replace('"checks"', '"odd": [[1]], "checks"');
    expect(parseProof(text)).toMatchObject({ ok: true, facts: {} });
  });

  test.each(['', '{', '[]', '{"version": 2, "ok": true, "checks": []}', '{"ok": true}'])(
    'is not %j',
    (text) => expect(parseProof(text)).toBeUndefined(),
  );

  test.each([
    ['proof.json', true],
    ['holiday/proof.json', true],
    ['holiday.mp4.proof.json', true],
    ['waterproof.json', false],
    ['proof.json.mp4', false],
  ])('%s is one: %s', (name, is) => expect(isProof(name)).toBe(is));
});
