import { describe, expect, test } from 'vitest';
import { joinMotions, parseMotionList } from '../../../../../agent/runners/film/motion-list.ts';

const HEAD = 'VID.STAB 1\n#      accuracy = 15\n';
const list = (...frames: string[]) =>
  parseMotionList(HEAD + frames.map((frame, i) => `Frame ${i + 1} (List ${frame})\n`).join(''))!;
const moved = (x: number): string => `1 [(LM ${x} -1 195 47 32 0.738672 1.5e-05)]`;

describe('lists of motions', () => {
  test('are joined with what lies between the pieces, and numbered through', () => {
    const first = list('0 []', moved(1), moved(2));
    const second = list('0 []', moved(4));
    const between = list('0 []', moved(3));
    const joined = parseMotionList(joinMotions([first, second], [between]))!;
    expect(joined.header).toEqual(['VID.STAB 1', '#      accuracy = 15']);
    expect(joined.frames).toEqual(
      ['0 []', moved(1), moved(2), moved(3), moved(4)].map((frame) => `(List ${frame})`),
    );
    expect(joinMotions([first, second], [between])).toContain('\nFrame 5 (List');
  });

  test('a piece of one frame has only what lies before it', () => {
    const joined = joinMotions([list('0 []'), list('0 []')], [list('0 []', moved(7))]);
    expect(parseMotionList(joined)?.frames).toEqual(['(List 0 [])', `(List ${moved(7)})`]);
  });

  test('what is no such list is refused', () => {
    expect(parseMotionList('TRF1\u0000\u0001')).toBeUndefined();
    expect(parseMotionList(`${HEAD}Frame 1 (List 0 []); movie=/etc/passwd\n`)).toBeUndefined();
    expect(parseMotionList('')).toBeUndefined();
  });
});
