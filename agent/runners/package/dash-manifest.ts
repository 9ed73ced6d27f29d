/** MPEG-DASH (ISO/IEC 23009-1), profile isoff-on-demand: each file is one segment with an index. Pure. */
import type { IndexedFile } from './indexed-file.ts';
import { bitRates, type FilmPackage, type TrackLabel } from './layout.ts';

export function dashManifest(made: FilmPackage): string {
  const { pictures, sounds, subtitles, seconds, frameRate } = made;
  const longest = [...pictures, ...sounds].flatMap(({ index }) =>
    index.segments.map(({ ticks }) => ticks / index.timescale),
  );
  const sets = [
    adaptationSet(
      ['contentType="video"', ...ALIGNED],
      undefined,
      pictures.map(({ file, index }, i) => {
        const { width, height } = index;
        const rate = Number(frameRate.toFixed(3)) * 1000;
        const size = `width="${width}" height="${height}" frameRate="${Math.round(rate)}/1000"`;
        return representation(`video-${i + 1}`, file, index, 'video/mp4', size, []);
      }),
    ),
    ...sounds.map((sound, i) =>
      adaptationSet(['contentType="audio"', ...ALIGNED], sound, [
        representation(
          `audio-${i + 1}`,
          sound.file,
          sound.index,
          'audio/mp4',
          `audioSamplingRate="${sound.index.sampleRate}"`,
          [
            `<AudioChannelConfiguration schemeIdUri="urn:mpeg:dash:23003:3:audio_channel_configuration:2011" value="${sound.index.channels}"/>`,
          ],
        ),
      ]),
    ),
    ...subtitles.map((text, i) =>
      adaptationSet(['contentType="text"'], text, [
        [
          `      <Representation id="subtitles-${i + 1}" mimeType="text/vtt" bandwidth="256">`,
          `        <BaseURL>${text.file}</BaseURL>`,
          '      </Representation>',
        ],
      ]),
    ),
  ];
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011" type="static" mediaPresentationDuration="PT${seconds.toFixed(6)}S" maxSubsegmentDuration="PT${Math.max(...longest).toFixed(6)}S" minBufferTime="PT2S">`,
    '  <Period id="0">',
    ...sets.flat(),
    '  </Period>',
    '</MPD>',
    '',
  ].join('\n');
}

const ALIGNED = ['subsegmentAlignment="true"', 'subsegmentStartsWithSAP="1"'];

function adaptationSet(
  words: readonly string[],
  label: TrackLabel | undefined,
  representations: readonly (readonly string[])[],
): string[] {
  const language = label?.language === undefined ? [] : [`lang="${label.language}"`];
  return [
    `    <AdaptationSet ${[...words, ...language].join(' ')}>`,
    ...(label === undefined ? [] : [`      <Label>${inXml(label.name)}</Label>`]),
    ...representations.flat(),
    '    </AdaptationSet>',
  ];
}

function representation(
  id: string,
  file: string,
  index: IndexedFile,
  mimeType: string,
  words: string,
  inside: readonly string[],
): string[] {
  const { headerBytes, indexBytes, codec } = index;
  const { peak } = bitRates(index);
  return [
    `      <Representation id="${id}" mimeType="${mimeType}" codecs="${codec}" bandwidth="${peak}" ${words}>`,
    ...inside.map((line) => `        ${line}`),
    `        <BaseURL>${file}</BaseURL>`,
    `        <SegmentBase indexRange="${headerBytes}-${headerBytes + indexBytes - 1}" indexRangeExact="true" timescale="${index.timescale}">`,
    `          <Initialization range="0-${headerBytes - 1}"/>`,
    '        </SegmentBase>',
    '      </Representation>',
  ];
}

const inXml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
