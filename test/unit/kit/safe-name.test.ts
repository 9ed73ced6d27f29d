import fc from 'fast-check';
import { win32 } from 'node:path';
import { join, resolve } from 'node:path/posix';
import { describe, expect, it } from 'vitest';
import * as domain from '../../../coordinator/domain/names.ts';
import { nameKey, unsafeName } from '../../../kit/safe-name.ts';

describe('unsafeName', () => {
  it.each(
    ['film.mp4', 'a/b/c.mkv', '..a', 'a..b', '.hidden', 'tränen 😀.mp4', 'x'.repeat(255)].concat(
      ['console', 'com10', 'nullus.txt', 'a con', ' a', '12:30'],
      ['👨\u200d👩\u200d👧.png', 'نمی\u200cخواهم.txt'],
    ),
  )('lets %j through', (name) => {
    expect(unsafeName(name)).toBeUndefined();
  });

  it.each([
    ['', 'empty'],
    ['/etc/passwd', 'absolute'],
    ['../up', "'..'"],
    ['a/../b', "'..'"],
    ['a/./b', "'.'"],
    ['a//b', 'empty part'],
    ['a/', 'empty part'],
    ['a\\b', 'backslash'],
    ['a\nb', 'control'],
    ['a\u0000b', 'control'],
    ['a\u0085b', 'control'],
    ['a\u2028b', 'control'],
    ['a\ud800b', 'Unicode'],
    ['e\u0301', 'NFC'],
    ['C:film.mp4', 'absolute'],
    ['a\u202egnp.exe', 'invisible'],
    ['a\u200bb', 'invisible'],
    ['\ufeffa', 'invisible'],
    ['a\u00adb', 'invisible'],
    ['CON', 'device'],
    ['a/nul.txt', 'device'],
    ['Com1.tar.gz', 'device'],
    ['lpt² .x', 'device'],
    ['conin$', 'device'],
    ['a.', 'ends with'],
    ['a /b', 'ends with'],
    ['x'.repeat(256), '255'],
    ['a/'.repeat(513) + 'b', '1024'],
    ['ä'.repeat(128), '255'],
  ])('refuses %j', (name, why) => {
    expect(unsafeName(name)).toContain(why);
  });
});

/** Names made of what is dangerous about names, and now and then of anything. */
const PIECES = [
  '.. . / \\ a A con NUL com1 .txt : * ~ e\u0301 é ß İ ﬁ 😀',
  '\u0000 \n \u202e \u200b \u200d \ufeff \ud800',
].flatMap((text) => text.split(' '));
const piece = fc.constantFrom(' ', ...PIECES);
const name = fc.oneof(
  fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join('')),
  fc.string({ unit: 'binary', maxLength: 12 }),
);

describe('a name that is let through', () => {
  const safe = name.filter((one) => unsafeName(one) === undefined);

  it('stays in its directory, here and on Windows', () => {
    fc.assert(
      fc.property(safe, (one) => {
        expect(resolve('/unit', one).startsWith('/unit/')).toBe(true);
        expect(join('/unit', one)).toBe(`/unit/${one}`);
        expect(win32.resolve('C:\\unit', one).startsWith('C:\\unit\\')).toBe(true);
      }),
    );
  });

  it('is the same after a disk has composed it, and shows no more than it has', () => {
    fc.assert(
      fc.property(safe, (one) => {
        expect(one.normalize('NFC')).toBe(one);
        expect(one).not.toMatch(/[\p{Cc}\u202a-\u202e\u2066-\u2069\u200b]/u);
      }),
    );
  });
});

describe('the coordinator', () => {
  it('lets through the same names as agents and the CLI', () => {
    fc.assert(
      fc.property(name, (one) => {
        expect(domain.faultOfName(one) === undefined).toBe(unsafeName(one) === undefined);
        expect(domain.nameKey(one)).toBe(nameKey(one));
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('nameKey', () => {
  it.each([
    ['Frame.PNG', 'fRAME.png'],
    ['STRASSE', 'straße'],
    ['É', 'e\u0301'],
    ['a\u200db', 'ab'],
    ['❤️', '❤'],
  ])('takes %j and %j for one', (a, b) => {
    expect(nameKey(a)).toBe(nameKey(b));
  });

  it('does not change when it is asked again', () => {
    fc.assert(
      fc.property(name, (one) => {
        expect(nameKey(nameKey(one))).toBe(nameKey(one));
      }),
    );
  });

  it.each([
    ['a', 'b'],
    ['a/b', 'a-b'],
    ['frame-1', 'frame-10'],
  ])('tells %j from %j', (a, b) => {
    expect(nameKey(a)).not.toBe(nameKey(b));
  });
});
