import { describe, expect, test } from 'vitest';
import { chosenTracks, trackOptions } from '../../../../../agent/runners/film/audio-tracks.ts';
import { carriedOptions, carriedTracks } from '../../../../../agent/runners/film/carried-tracks.ts';
import { languageIn } from '../../../../../agent/runners/film/track-language.ts';
import type { SourceTrack } from '../../../../../agent/runners/film/film-plan.ts';
import type { MediaFacts } from '../../../../../agent/runners/film/source-facts.ts';

const audio = (index: number, language?: string) => ({
  index,
  codec_type: 'audio',
  channels: 6,
  ...(language !== undefined && { tags: { language } }),
});
const FACTS: MediaFacts = {
  frames: [],
  streams: [audio(1, 'ger'), audio(2, 'eng'), audio(3), audio(4, 'pt-BR')],
  chapters: [],
  format: {},
};
const chosen = (languages: string[], first = false): number[] =>
  chosenTracks('film.mkv', FACTS, { first, languages }).map(({ index }) => index);

describe('audio tracks', () => {
  test('are all taken unless some are chosen', () => {
    expect(chosenTracks('film.mkv', FACTS, undefined)).toHaveLength(4);
    expect(chosen([])).toEqual([1, 2, 3, 4]);
  });

  test.each([['deu'], ['de'], ['ger'], ['GER']])('German is asked for as %s', (code) => {
    expect(chosen([code])).toEqual([1]);
  });

  test('keep their order, and the first is the first of those', () => {
    expect(chosen(['eng', 'deu'])).toEqual([1, 2]);
    expect(chosen(['eng', 'und'], true)).toEqual([2]);
  });

  test('a region is one of its language, not the other way round', () => {
    expect(chosen(['por'])).toEqual([4]);
    expect(() => chosen(['pt-PT'])).toThrow(/no audio in pt-PT: it has ger, eng, und, pt-BR/);
  });

  test('get bits by their channels, and channels that the encoder has', () => {
    const [track] = chosenTracks('film.mkv', FACTS, undefined);
    const options = trackOptions(track!, 0, 'aac', 0).join(' ');
    expect(options).toMatch(/^-map 0:1 -c:a:0 aac -filter:a:0 aformat=\S+ -b:a:0 384000$/);
    expect(trackOptions(track!, 0, 'aac', 96_000).join(' ')).toMatch(/-b:a:0 96000$/);
    expect(trackOptions(track!, 2, 'copy', 0)).toEqual(['-map', '0:1', '-c:a:2', 'copy']);
  });
});

describe('what a container holds', () => {
  const subtitle = (index: number, codec: string): SourceTrack => ({
    index,
    type: 'subtitle',
    codec,
    language: 'eng',
  });
  const TRACKS: readonly SourceTrack[] = [
    { index: 0, type: 'video' },
    { index: 1, type: 'audio', language: 'fre', title: 'Director', dispositions: ['comment'] },
    subtitle(2, 'subrip'),
    subtitle(3, 'hdmv_pgs_subtitle'),
    subtitle(4, 'mov_text'),
    { index: 5, type: 'attachment' },
    subtitle(6, 'eia_608'),
  ];

  test.each([
    ['mp4', ['mov_text', 'copy'], 3],
    ['mov', ['mov_text', 'copy'], 3],
    ['mkv', ['copy', 'copy', 'subrip'], 1],
    ['webm', ['webvtt', 'webvtt'], 3],
  ] as const)(
    '%s: subtitles become %j, %d lines of what is left out',
    (container, codecs, left) => {
      const carried = carriedTracks(container, TRACKS, undefined);
      expect(carried.subtitles.map(({ codec }) => codec)).toEqual(codecs);
      expect(carried.left).toHaveLength(left);
    },
  );

  test('labels are said of each track', () => {
    const options = carriedOptions(carriedTracks('mp4', TRACKS, [1]), 'mp4', {
      audio: 1,
      source: 2,
    });
    expect(options.join(' ')).toContain(
      '-map 1:a -metadata:s:a:0 language=fre -metadata:s:a:0 title=Director -metadata:s:a:0 handler_name=Director -disposition:a:0 comment',
    );
    expect(options.join(' ')).toContain('-map 2:2 -c:s:0 mov_text');
    expect(options).not.toContain('2:t');
  });

  test.each([
    ['mp4', 'fre', 'fre'],
    ['mp4', 'pt-BR', 'und'],
    ['mov', 'fre', 'fra'],
    ['mov', 'swe', 'und'],
    ['mkv', 'pt-BR', 'pt-BR'],
  ] as const)('%s says %s as %s', (container, language, said) => {
    expect(languageIn(container, language)).toBe(said);
  });
});
