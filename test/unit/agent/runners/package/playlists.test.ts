import { describe, expect, test } from 'vitest';
import {
  manifestCheck,
  masterCheck,
  playlistCheck,
  type PackageFiles,
} from '../../../../../agent/runners/package/address-proof.ts';
import { dashManifest } from '../../../../../agent/runners/package/dash-manifest.ts';
import { hlsPlaylists } from '../../../../../agent/runners/package/hls-playlists.ts';
import type { IndexedFile } from '../../../../../agent/runners/package/indexed-file.ts';
import { bitRates, labels, type FilmPackage } from '../../../../../agent/runners/package/layout.ts';
import type { ReadIndex } from '../../../../../agent/runners/package/read-index.ts';
import { readMaster } from '../../../../../agent/runners/package/read-hls.ts';

const TRACK = { timescale: 1000, channels: 0, sampleRate: 0, sampleTicks: 0 };
const PICTURE: IndexedFile = {
  ...TRACK,
  codec: 'avc1.64001f',
  width: 1280,
  height: 720,
  headerBytes: 700,
  indexBytes: 64,
  startTicks: 0,
  segments: [
    { start: 764, bytes: 300_000, ticks: 6000 },
    { start: 300_764, bytes: 100_000, ticks: 4000 },
  ],
};
const SOUND: IndexedFile = {
  ...PICTURE,
  codec: 'mp4a.40.2',
  width: 0,
  height: 0,
  channels: 2,
  sampleRate: 48_000,
  segments: [{ start: 764, bytes: 100_000, ticks: 10_000 }],
};
const MADE: FilmPackage = {
  seconds: 10,
  frameRate: 30_000 / 1001,
  pictures: [{ file: '720p.mp4', index: PICTURE }],
  sounds: [{ file: 'audio-1.mp4', index: SOUND, language: 'eng', name: 'eng' }],
  subtitles: [{ file: 'subtitles-1.vtt', language: undefined, name: 'A & B <i>' }],
};

const readAs = ({ segments, headerBytes, indexBytes, ...track }: IndexedFile): ReadIndex => ({
  track,
  headerBytes,
  indexBytes,
  startSeconds: 0,
  segments: segments.map((segment) => ({ ...segment, seconds: segment.ticks / 1000 })),
});
const FILES: PackageFiles = {
  pictures: new Map([['720p.mp4', readAs(PICTURE)]]),
  sounds: new Map([['audio-1.mp4', readAs(SOUND)]]),
  texts: ['subtitles-1.vtt'],
  seconds: 10,
  startSeconds: 0,
};
const playlists = hlsPlaylists(MADE);
const master = playlists.get('master.m3u8')!;
const manifest = dashManifest(MADE);

describe('what players read a package by', () => {
  test('names coding, size, rates and sounds of each film', () => {
    expect([...playlists.keys()].toSorted()).toEqual([
      '720p.m3u8',
      'audio-1.m3u8',
      'master.m3u8',
      'subtitles-1.m3u8',
    ]);
    const { variants, media } = readMaster(master, 'master.m3u8');
    expect(Object.fromEntries(variants[0]!.attributes)).toEqual({
      // Of the first segment, 400,000; and of the sound, 80,000.
      BANDWIDTH: '480000',
      'AVERAGE-BANDWIDTH': '400000',
      CODECS: 'avc1.64001f,mp4a.40.2',
      RESOLUTION: '1280x720',
      'FRAME-RATE': '29.970',
      AUDIO: 'sound',
      SUBTITLES: 'subtitles',
    });
    expect(media.map((words) => words.get('LANGUAGE'))).toEqual(['eng', undefined]);
  });

  test('has no sound where the film has none', () => {
    const silent = hlsPlaylists({ ...MADE, sounds: [], subtitles: [] }).get('master.m3u8')!;
    expect(silent).not.toContain('AUDIO');
    expect(silent).toContain('CODECS="avc1.64001f"');
  });

  test('holds against the files', () => {
    expect(masterCheck(master, FILES).finding).toBeUndefined();
    expect(manifestCheck(manifest, FILES).finding).toBeUndefined();
    const list = playlists.get('720p.m3u8')!;
    expect(playlistCheck('720p.m3u8', list, '720p.mp4', readAs(PICTURE))).toMatchObject({
      found: 2,
      finding: undefined,
    });
  });

  test.each([
    ['another size', '1280x720', '1920x1080'],
    ['another coding', 'avc1.64001f', 'avc1.640028'],
    ['too few bits', 'BANDWIDTH=480000', 'BANDWIDTH=479999'],
    ['another address', '\n720p.m3u8', '\n721p.m3u8'],
    ['no sound', ',AUDIO="sound"', ''],
  ])('a master playlist with %s is found', (_, from, to) => {
    expect(masterCheck(master.replace(from, to), FILES).finding).toBeDefined();
  });

  test.each([
    ['another byte', '300000@764', '300000@765'],
    ['another length', 'EXTINF:6.0', 'EXTINF:5.9'],
    ['another header', '700@0', '701@0'],
    ['a segment less', '#EXTINF:4.000000,\n#EXT-X-BYTERANGE:100000@300764\n720p.mp4\n', ''],
    ['another file', '300764\n720p.mp4', '300764\n480p.mp4'],
  ])('a playlist with %s is found', (_, from, to) => {
    const list = playlists.get('720p.m3u8')!;
    expect(list).toContain(from);
    const check = playlistCheck('720p.m3u8', list.replace(from, to), '720p.mp4', readAs(PICTURE));
    expect(check.finding).toBeDefined();
  });

  test.each([
    ['no end', '#EXT-X-ENDLIST\n', ''],
    ['a longer segment than it says', 'TARGETDURATION:6', 'TARGETDURATION:5'],
    ['a line of its own', '#EXT-X-MEDIA-SEQUENCE:0', '#EXT-X-DISCONTINUITY'],
  ])('a playlist with %s is none', (_, from, to) => {
    const list = playlists.get('720p.m3u8')!.replace(from, to);
    expect(() => playlistCheck('720p.m3u8', list, '720p.mp4', readAs(PICTURE))).toThrow(
      'is no playlist',
    );
  });

  test.each([
    ['another index', '700-763', '700-762'],
    ['another header', '"0-699"', '"0-700"'],
    ['another duration', 'PT10.0', 'PT11.0'],
    ['a file less', '<BaseURL>audio-1.mp4', '<BaseURL>audio-2.mp4'],
  ])('a manifest with %s is found', (_, from, to) => {
    expect(manifest).toContain(from);
    expect(manifestCheck(manifest.replace(from, to), FILES).finding).toBeDefined();
  });

  test.each([
    ['</Period>', ''],
    ['</MPD>', '</MPD><'],
    ['<Period id="0">', '<Period id="<">'],
  ])('a manifest that is no XML is refused: %s', (from, to) => {
    expect(() => manifestCheck(manifest.replace(from, to), FILES)).toThrow('manifest.mpd');
  });
});

test('the rate of the busiest segment, and of all', () => {
  expect(bitRates(PICTURE)).toEqual({ peak: 400_000, average: 320_000 });
});

test('labels are unlike, and end no word', () => {
  const tracks = [
    { language: 'eng', title: 'Say "hi"\n#EXT' },
    { language: 'fre' },
    { language: 'fre' },
    { language: 'x"y' },
    { language: 'und' },
  ];
  expect(labels(tracks, 'audio')).toEqual([
    { language: 'eng', name: 'Say  hi  #EXT' },
    { language: 'fre', name: 'fre' },
    { language: 'fre', name: 'fre (3)' },
    { language: undefined, name: 'audio 4' },
    { language: undefined, name: 'audio 5' },
  ]);
});
