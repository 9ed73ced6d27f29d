import { describe, expect, it } from 'vitest';
import { unsafeName } from '../../../kit/safe-name.ts';

describe('unsafeName', () => {
  it.each(['film.mp4', 'a/b/c.mkv', '..a', 'a..', '.hidden', 'tränen 😀.mp4', 'x'.repeat(255)])(
    'lets %j through',
    (name) => {
      expect(unsafeName(name)).toBeUndefined();
    },
  );

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
    ['x'.repeat(256), '255'],
    ['ä'.repeat(128), '255'],
  ])('refuses %j', (name, why) => {
    expect(unsafeName(name)).toContain(why);
  });
});
