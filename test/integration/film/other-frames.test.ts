/** Films whose frames are not their source's: which frames they show and when, read back from the film alone. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { readPlan } from '../../../agent/runners/film/film-plan.ts';
import { Clips, frameNumbers, frameSeconds, type ClipKind } from '../../support/clips.ts';
import { FilmChain, type ChainResult } from '../../support/film-chain.ts';

describe('another frame rate', () => {
  let clips: Clips;
  let chain: FilmChain;
  beforeAll(async () => {
    clips = await Clips.open();
    chain = await FilmChain.open();
  });
  afterAll(async () => {
    await chain.close();
    await clips.close();
  });
  afterEach(() => chain.refuseRunning());

  const atRate = async (
    kind: ClipKind,
    rateNum: number,
    rateDen: number,
    film = 'film.mp4',
  ): Promise<ChainResult> => {
    const retime = { rateNum, rateDen, factor: 0, between: false };
    const made = await chain.transcode(await clips.path(kind), { film, split: { retime } });
    expect(made).toMatchObject({ step: 'proof', outcome: { state: 'succeeded' } });
    return made;
  };

  /** Frame n of the film at n / rate, and no tick beside it. */
  const expectPace = (seconds: readonly number[], rate: number, toSeconds: number): void => {
    const off = seconds.map((at, n) => Math.abs(at - seconds[0]! - n / rate));
    expect(Math.max(...off)).toBeLessThan(toSeconds);
  };

  test.each<[ClipKind, number, number, number]>([
    ['closed-gop', 50, 1, 200],
    ['open-gop', 30_000, 1001, 120],
    ['closed-gop', 25, 2, 50],
    ['transport-stream', 24, 1, 96],
  ])('%s at %i/%i', async (kind, rateNum, rateDen, count) => {
    const made = await atRate(kind, rateNum, rateDen);
    const [source, film] = [
      await frameNumbers(await clips.path(kind)),
      await frameNumbers(made.film),
    ];
    expect(film).toHaveLength(count);
    // In halves of the source's frames and parts of the film's, so that nothing is rounded.
    const perFrame = 50 * rateDen;
    const slack = Math.min(rateNum, perFrame / 2);
    // The clip shows 25 frames a second: one that begins less than half of the shorter step later will do.
    const wanted = film.map(
      (_, n) => source[Math.ceil((n * perFrame + slack) / (2 * rateNum)) - 1],
    );
    expect(film).toEqual(wanted);
    expectPace(await frameSeconds(made.film), rateNum / rateDen, 1e-4);
  });

  test('a source whose pace varies, into Matroska', async () => {
    const made = await atRate('variable-rate', 30, 1, 'film.mkv');
    const path = await clips.path('variable-rate');
    const [numbers, at] = [await frameNumbers(path), await frameSeconds(path)];
    const film = await frameNumbers(made.film);
    const wrong = film.findIndex((number, n) => {
      const i = numbers.indexOf(number);
      const due = at[0]! + n / 30;
      return at[i]! > due + 0.5 / 30 || (at[i + 1] ?? Infinity) <= due;
    });
    expect(wrong).toBe(-1);
    expect(film.at(-1)).toBe(numbers.at(-1));
    expectPace(await frameSeconds(made.film), 30, 2e-3);
  });

  test('a rate so low that pieces have to be joined', async () => {
    const made = await atRate('closed-gop', 1, 2);
    expect(await frameNumbers(made.film)).toEqual([0, 50]);
    expect((await readPlan(made.directory)).pieces).toHaveLength(2);
  });

  test.each<ClipKind>(['open-gop'])(
    '%s: pieces that hold frames of their neighbours become just their own',
    async (kind) => {
      const split = { leadFrames: 2, tailFrames: 1 };
      const made = await chain.transcode(await clips.path(kind), { split });
      expect(made).toMatchObject({ step: 'proof', outcome: { state: 'succeeded' } });
      expect(await frameNumbers(made.film)).toEqual(await frameNumbers(await clips.path(kind)));
      const plan = await readPlan(made.directory);
      expect(plan.pieces.map(({ leadFrames, tailFrames }) => [leadFrames, tailFrames])).toEqual([
        [0, 1],
        [2, 1],
        [2, 1],
        [2, 0],
      ]);
    },
  );

  test('a source in one piece, without times', async () => {
    const made = await atRate('without-times', 50, 1);
    const film = await frameNumbers(made.film);
    expect([...new Set(film)]).toEqual(Array.from({ length: 100 }, (_, n) => n));
    expect(film.length).toBeGreaterThan(195);
    expectPace(await frameSeconds(made.film), 50, 1e-4);
  });
});
