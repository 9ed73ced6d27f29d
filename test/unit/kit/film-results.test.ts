import { expect, test } from 'vitest';
import {
  parseResults,
  resultsCsv,
  resultsText,
  type FilmResult,
} from '../../../kit/film-results.ts';

const MADE: FilmResult = {
  source: 'trip/a.mov',
  film: 'trip/a.mp4',
  state: 'proven',
  frames: 100,
  sourceBytes: 1000,
  filmBytes: 250,
  reason: '',
};
const REFUSED: FilmResult = {
  source: '=1+1.mov',
  film: '=1+1.mp4',
  state: 'refused',
  frames: 0,
  sourceBytes: 13,
  filmBytes: 0,
  reason: 'it says "no", twice',
};

test('the table reads back', () => {
  expect(parseResults(resultsText([MADE, REFUSED]))).toEqual([MADE, REFUSED]);
  expect(parseResults('{')).toBeUndefined();
  expect(parseResults('{"version": 2, "films": []}')).toBeUndefined();
});

test('as CSV quotes what has to be, and is no formula', () => {
  expect(resultsCsv([MADE, REFUSED]).split('\n')).toEqual([
    'source,film,state,frames,source_bytes,film_bytes,ratio,reason',
    'trip/a.mov,trip/a.mp4,proven,100,1000,250,0.250,',
    `"'=1+1.mov","'=1+1.mp4",refused,0,13,0,,"it says ""no"", twice"`,
    '',
  ]);
});
