/** The list of cuts in every form that is kept: written, read by eyes of the test's own, and read back. */
import { describe, expect, test } from 'vitest';
import type { ClipAnalysis } from '../../../../../agent/runners/montage/analyses.ts';
import type { CutList } from '../../../../../agent/runners/montage/cut-list.ts';
import { csvText, readCsv } from '../../../../../agent/runners/montage/cuts-csv.ts';
import {
  type EditedList,
  ListFault,
  shotsOf,
} from '../../../../../agent/runners/montage/edited-list.ts';
import { edlText, readEdl, reelsOf } from '../../../../../agent/runners/montage/edl.ts';
import { otioText, readOtio } from '../../../../../agent/runners/montage/otio.ts';
import type { Rate } from '../../../../../agent/runners/montage/timecode.ts';

const PICTURE = {
  width: 640,
  height: 360,
  pixelFormat: 'yuv420p',
  orientation: [1, 0, 0, 1],
  pixelAspect: 1,
  colour: { range: 'tv', space: 'bt709', transfer: 'bt709', primaries: 'bt709' },
};
const NTSC = { num: 30_000, den: 1001 };
const PAL = { num: 25, den: 1 };

const CLIPS = [
  { name: 'beach day.mp4', frames: 5000, startFrames: 0 },
  { name: 'Größe, "wild".mov', frames: 900, startFrames: 90_000 },
];

function listAt(rate: Rate): CutList {
  return {
    version: 1,
    rate,
    frames: 1910,
    musicFromMs: 2000,
    clips: CLIPS,
    shots: [
      {
        clip: 0,
        from: 10,
        frames: 1800,
        speedPercent: 100,
        transition: 'cut',
        transitionFrames: 0,
      },
      {
        clip: 1,
        from: 0,
        frames: 40,
        speedPercent: 50,
        transition: 'dissolve',
        transitionFrames: 12,
      },
      {
        clip: 0,
        from: 2500,
        frames: 50,
        speedPercent: 100,
        transition: 'whip',
        transitionFrames: 6,
      },
      { clip: 1, from: 400, frames: 20, speedPercent: 200, transition: 'cut', transitionFrames: 0 },
    ],
  };
}

const NAMES = { title: 'holiday', music: 'song.mp3', musicSeconds: 120 };

function analyses(): ClipAnalysis[] {
  return CLIPS.map((clip) => ({
    version: 1,
    ...clip,
    rate: NTSC,
    picture: PICTURE,
    stream: 0,
    timeBase: { num: 1, den: 25 },
    hasSound: false,
    cuts: [],
    motion: [1],
    brightness: [100],
    contrast: [40],
    sharpness: [5],
    loudness: [],
  }));
}

const REELS = new Map(reelsOf(CLIPS.map(({ name }) => name)).map((reel, index) => [reel, index]));

describe.each([
  ['29.97', NTSC],
  ['25', PAL],
])('at %s frames a second', (_, rate) => {
  const list = listAt(rate);
  test.each<[string, () => EditedList]>([
    ['OTIO', () => readOtio(otioText(list, NAMES), rate)],
    ['EDL', () => readEdl(edlText(list, 'holiday'), rate)],
    ['CSV', () => readCsv(csvText(list), rate)],
  ])('%s comes back as it was written', (_form, read) => {
    expect(shotsOf(read(), analyses(), REELS, rate)).toEqual(list.shots);
  });
});

test('an EDL of 29.97 drops frames, counts on from one hour, and says what reels cannot', () => {
  expect(edlText(listAt(NTSC), 'holiday').split('\r\n')).toEqual([
    'TITLE: holiday',
    'FCM: DROP FRAME',
    '001  BEACHDAY V     C        00:00:00;10 00:01:00;12 01:00:00;00 01:01:00;02',
    '* FROM CLIP NAME: beach day.mp4',
    '002  BEACHDAY V     C        00:01:00;12 00:01:00;12 01:01:00;02 01:01:00;02',
    '002  GRSSEWIL V     D    012 00:50:03;00 00:50:03;20 01:01:00;02 01:01:01;12',
    'M2   GRSSEWIL 015.0 00:50:03:00',
    '* FROM CLIP NAME: beach day.mp4',
    '* TO CLIP NAME: Größe, "wild".mov',
    '003  GRSSEWIL V     C        00:50:03;20 00:50:03;20 01:01:01;12 01:01:01;12',
    '003  BEACHDAY V     D    006 00:01:23;12 00:01:25;02 01:01:01;12 01:01:03;02',
    '* FROM CLIP NAME: Größe, "wild".mov',
    '* TO CLIP NAME: beach day.mp4',
    '* FURROW TRANSITION: whip',
    '004  GRSSEWIL V     C        00:50:16;10 00:50:17;19 01:01:03;02 01:01:03;22',
    'M2   GRSSEWIL 060.0 00:50:16:10',
    '* FROM CLIP NAME: Größe, "wild".mov',
    '',
  ]);
});

test('an OTIO timeline is of the schemas that editors read, with every time a whole frame', () => {
  const timeline = JSON.parse(otioText(listAt(NTSC), NAMES)) as {
    OTIO_SCHEMA: string;
    global_start_time: { value: number };
    tracks: { children: { kind: string; children: Record<string, unknown>[] }[] };
  };
  expect(timeline.OTIO_SCHEMA).toBe('Timeline.1');
  expect(timeline.global_start_time.value).toBe(107_892);
  const [video, audio] = timeline.tracks.children;
  expect([video!.kind, audio!.kind]).toEqual(['Video', 'Audio']);
  expect(video!.children.map((item) => item['OTIO_SCHEMA'])).toEqual([
    'Clip.2',
    'Transition.1',
    'Clip.2',
    'Transition.1',
    'Clip.2',
    'Clip.2',
  ]);
  const times: { rate: number; value: number }[] = [];
  JSON.stringify(timeline, (_key, value: unknown) => {
    const time = value as { OTIO_SCHEMA?: string; rate: number; value: number } | null;
    if (time?.OTIO_SCHEMA === 'RationalTime.1') times.push(time);
    return value;
  });
  expect(times.length).toBeGreaterThan(20);
  for (const { rate, value } of times) {
    expect(rate).toBe(30_000 / 1001);
    expect(Number.isInteger(value)).toBe(true);
  }
  const second = video!.children[2] as {
    source_range: { start_time: { value: number }; duration: { value: number } };
    media_references: Record<string, { OTIO_SCHEMA: string; target_url: string }>;
  };
  expect(second.source_range.start_time.value).toBe(90_000);
  expect(second.source_range.duration.value).toBe(40);
  const reference = second.media_references['DEFAULT_MEDIA']!;
  expect(reference.OTIO_SCHEMA).toBe('ExternalReference.1');
  expect(reference.target_url).toBe('Gr%C3%B6%C3%9Fe%2C%20%22wild%22.mov');
});

test('reels are eight letters and digits, each its own', () => {
  const reels = reelsOf(['IMG_0001.MOV', 'img-0001.mp4', 'img 0001.mkv', '映画.mov', 'ax.mp4']);
  expect(new Set(reels).size).toBe(5);
  for (const reel of reels) expect(reel).toMatch(/^[A-Z0-9]{1,8}$/);
  expect(reels).not.toContain('AX');
});

describe('lists of other programs', () => {
  test('an EDL that has only reels, sound tracks, blanks and comments of its own', () => {
    const text = [
      'TITLE: Sequence 1',
      '',
      '001  BEACHDAY V  C  00:00:01:00 00:00:03:00 00:00:00:00 00:00:02:00',
      '* LOC: 00:00:00:00 RED',
      '002  BEACHDAY A  C  00:00:01:00 00:00:03:00 00:00:00:00 00:00:02:00',
    ].join('\n');
    const [shot, ...rest] = shotsOf(readEdl(text, PAL), analyses(), REELS, PAL);
    expect(rest).toEqual([]);
    expect(shot).toMatchObject({ clip: 0, from: 25, frames: 50, transition: 'cut' });
  });

  test('a table with its columns in another order, and semicolons', () => {
    const text =
      '\uFEFFclip;frames;clip_from;note\r\nbeach day.mp4;20;5;"the ""best""; really"\r\n';
    expect(shotsOf(readCsv(text, PAL), analyses(), REELS, PAL)).toMatchObject([
      { clip: 0, from: 5, frames: 20, speedPercent: 100, transition: 'cut' },
    ]);
  });

  test('OTIO of version 1 clips, with paths for names', () => {
    const time = (value: number): object => ({ OTIO_SCHEMA: 'RationalTime.1', rate: 25, value });
    const clip = {
      OTIO_SCHEMA: 'Clip.1',
      name: 'anything',
      source_range: { start_time: time(30), duration: time(10) },
      media_reference: {
        OTIO_SCHEMA: 'ExternalReference.1',
        target_url: 'file:///D:/clips/beach%20day.mp4',
      },
    };
    const text = JSON.stringify({
      OTIO_SCHEMA: 'Timeline.1',
      tracks: { children: [{ OTIO_SCHEMA: 'Track.1', kind: 'Video', children: [clip] }] },
    });
    expect(shotsOf(readOtio(text, PAL), analyses(), REELS, PAL)).toMatchObject([
      { clip: 0, from: 30, frames: 10 },
    ]);
  });
});

describe('what cannot be is refused, naming the place and the remedy', () => {
  const said = (act: () => unknown): string => {
    try {
      act();
    } catch (error) {
      if (error instanceof ListFault) return error.message;
      throw error;
    }
    return 'nothing';
  };
  const edl = (...lines: readonly string[]): string =>
    said(() => shotsOf(readEdl(lines.join('\n'), NTSC), analyses(), REELS, NTSC));
  const csv = (row: string): string =>
    said(() =>
      shotsOf(
        readCsv(`clip,clip_from,frames,transition,transition_frames\n${row}`, PAL),
        analyses(),
        REELS,
        PAL,
      ),
    );

  test('in an EDL', () => {
    expect(edl('FCM: NON-DROP FRAME')).toMatch(/^line 1: .*does not drop frames.*--fps/);
    expect(edl('001 BEACHDAY V C 00:00:00;00 00:00:01;00 01:00:00;00')).toMatch(
      /^line 1: is no event/,
    );
    expect(edl('001 BEACHDAY V C 00:01:00;00 00:01:01;00 01:00:00;00 01:00:01;00')).toMatch(
      /^line 1: 00:01:00;00 is no timecode/,
    );
    expect(edl('001 BEACHDAY V W001 010 00:00:00;00 00:00:01;00 01:00:00;00 01:00:01;00')).toMatch(
      /^line 1: has a wipe/,
    );
    expect(
      edl(
        '001 BEACHDAY V C 00:00:00;00 00:00:01;00 01:00:00;00 01:00:01;00',
        '002 BEACHDAY V C 00:00:00;00 00:00:01;00 01:00:02;00 01:00:03;00',
      ),
    ).toMatch(/^line 2: begins at 01:00:02;00 .* let them meet/);
    expect(edl('001 NOBODY V C 00:00:00;00 00:00:01;00 01:00:00;00 01:00:01;00')).toMatch(
      /^line 1 names 'NOBODY', which is none of the clips/,
    );
    expect(edl('001 GRSSEWIL V C 00:00:00;00 00:00:01;00 01:00:00;00 01:00:01;00')).toMatch(
      /^line 1 begins outside of Größe/,
    );
    expect(
      edl(
        '001 BEACHDAY V C 00:00:00;00 00:00:01;00 01:00:00;00 01:00:01;00',
        'M2 BEACHDAY -030.0 00:00:00;00',
      ),
    ).toMatch(/^line 2: has a speed that is not taken/);
  });

  test('in a table', () => {
    expect(said(() => readCsv('clip,frames\n', PAL))).toMatch(/no column 'clip_from'/);
    expect(csv('beach day.mp4,1.5,10,,')).toMatch(/^line 2: clip_from is '1.5'/);
    expect(csv('beach day.mp4,1')).toMatch(/^line 2 has 2 fields/);
    expect(csv('beach day.mp4,4990,20,,')).toMatch(/^line 2 ends 10 frames after its clip/);
    expect(csv('beach day.mp4,0,20,dissolve,5')).toMatch(/^line 2 begins with a transition/);
    expect(csv('beach day.mp4,0,20,,\nbeach day.mp4,0,20,spin,5')).toMatch(
      /^line 3 has the transition 'spin': use cut, dissolve/,
    );
    expect(csv('beach day.mp4,4985,10,,\nbeach day.mp4,0,20,dissolve,8')).toMatch(
      /^line 2, with the 8 that the next transition needs, ends 3 frames after/,
    );
    expect(csv('beach day.mp4,0,20,,\nbeach day.mp4,0,"20')).toMatch(
      /^line 3: a quote is not closed/,
    );
    expect(said(() => readCsv('clip,clip_from,frames,rate\nx,1,1,24/1', PAL))).toMatch(/--fps/);
  });

  test('in OTIO', () => {
    const otio = (text: string): string => said(() => readOtio(text, PAL));
    expect(otio('PK\u0003\u0004')).toMatch(/no JSON/);
    expect(otio('{"OTIO_SCHEMA":"Clip.2"}')).toMatch(/no OpenTimelineIO timeline/);
    const withItem = (item: object): string =>
      otio(
        JSON.stringify({
          OTIO_SCHEMA: 'Timeline.1',
          tracks: { children: [{ OTIO_SCHEMA: 'Track.1', kind: 'Video', children: [item] }] },
        }),
      );
    expect(withItem({ OTIO_SCHEMA: 'Gap.1' })).toMatch(/^item 1 of its video track is a Gap/);
    const time = (value: number, rate = 25): object => ({ rate, value });
    const clip = (start: object): object => ({
      OTIO_SCHEMA: 'Clip.2',
      name: 'beach day.mp4',
      source_range: { start_time: start, duration: time(5) },
    });
    expect(withItem(clip(time(1.5)))).toMatch(/whole frames/);
    expect(withItem(clip(time(1, 24)))).toMatch(/counts at 24 .*--fps/);
    expect(withItem({ OTIO_SCHEMA: 'Clip.2', name: 'x' })).toMatch(/has no source range/);
  });
});
