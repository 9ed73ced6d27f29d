/** The recipe `thumbnails`: pictures of a film, taken by seeking, so that one unit is quick on any film. */
import type { ContactSheet, Poster, Sprites } from '../domain/film-tasks.ts';
import type { File } from '../domain/task.ts';
import { givenSource } from './named-files.ts';
import {
  baseName,
  demand,
  fileInput,
  invalid,
  isWhole,
  keptOutput,
  MIB,
  output,
  outputsOf,
  quote,
  type RecipePlan,
  stallsAfter,
} from './recipe.ts';

/** What a user asks for; absent, empty and zero fields take the defaults. */
export interface ThumbnailsRequest {
  readonly source?: File | undefined;
  readonly format: string;
  readonly sheet?: ContactSheet | undefined;
  readonly sprites?: Sprites | undefined;
  readonly poster?: Poster | undefined;
}

const FORMATS = ['jpg', 'png', 'webp'];
const FFMPEG = ['tool:ffmpeg'];
/** Of a sheet: what WebP and most viewers can hold, and its pixels in memory. */
const MAX_SHEET_PIXELS = 16_000;

export function thumbnailSteps(request: ThumbnailsRequest): RecipePlan {
  const given = givenSource(request.source);
  if (given.state === 'invalid') return given;
  const { source } = given;
  const format = request.format || 'jpg';
  if (!FORMATS.includes(format)) {
    return invalid(`picture format ${quote(format)} is not known: use ${FORMATS.join(', ')}`);
  }
  const { sheet, sprites, poster } = wanted(request);
  const fault = faultOfSheet(sheet) ?? faultOfSprites(sprites);
  if (fault !== undefined) return invalid(fault);
  const name = baseName(source.name);
  // No name that the pictures have.
  const isTaken = /^(sheet|sprite|poster|thumbnails|pictures|proof)\b/.test(name);
  const beside = { ...source, name: isTaken ? `film/${name}` : name };
  const limits = stallsAfter(600_000);
  const pictures = [
    ...(sheet === undefined ? [] : [`sheet.${format}`]),
    ...(sprites === undefined ? [] : [`sprite-*.${format}`, 'thumbnails.vtt']),
    ...(poster === undefined ? [] : [`poster.${format}`]),
  ];
  return {
    state: 'ok',
    steps: [
      {
        name: 'pictures',
        dependsOn: [],
        parameters: undefined,
        task: {
          kind: {
            $case: 'takeThumbnails',
            value: { source: beside.name, format, sheet, sprites, poster },
          },
        },
        inputs: [fileInput(beside)],
        outputs: [...pictures.map(keptOutput), output('pictures.json')],
        demand: demand(1000, 1024 * MIB, source.sizeBytes + 1024 * MIB, FFMPEG),
        limits,
      },
      {
        name: 'proof',
        dependsOn: ['pictures'],
        parameters: undefined,
        task: { kind: { $case: 'proveThumbnails', value: { source: name } } },
        inputs: [...pictures, 'pictures.json'].map((pattern) => outputsOf('pictures', pattern)),
        outputs: [keptOutput('proof.json')],
        demand: demand(1000, 512 * MIB, 1024 * MIB, FFMPEG),
        limits,
      },
    ],
  };
}

function wanted(
  request: ThumbnailsRequest,
): Pick<ThumbnailsRequest, 'sheet' | 'sprites' | 'poster'> {
  const { sheet, sprites, poster } = request;
  const isAll = sheet === undefined && sprites === undefined && poster === undefined;
  return {
    sheet: isAll || sheet !== undefined ? sheetDefaults(sheet) : undefined,
    sprites: isAll || sprites !== undefined ? spriteDefaults(sprites) : undefined,
    poster: isAll ? {} : poster,
  };
}

function sheetDefaults(sheet: ContactSheet | undefined): ContactSheet {
  return {
    columns: sheet?.columns || 4,
    rows: sheet?.rows || 4,
    width: sheet?.width || 320,
    withoutTimes: sheet?.withoutTimes === true,
  };
}

function spriteDefaults(sprites: Sprites | undefined): Sprites {
  return {
    intervalMs: sprites?.intervalMs || 10_000,
    width: sprites?.width || 160,
    columns: sprites?.columns || 10,
    rows: sprites?.rows || 10,
  };
}

function faultOfSheet(sheet: ContactSheet | undefined): string | undefined {
  return sheet === undefined ? undefined : faultOfGrid('the contact sheet', sheet);
}

function faultOfSprites(sprites: Sprites | undefined): string | undefined {
  if (sprites === undefined) return undefined;
  const { intervalMs } = sprites;
  if (!isWhole(intervalMs, 100, 3_600_000)) {
    return `a picture each ${intervalMs} ms is out of range: use 100 to 3600000`;
  }
  return faultOfGrid('a sprite sheet', sprites);
}

function faultOfGrid(
  what: string,
  { columns, rows, width }: Pick<Sprites, 'columns' | 'rows' | 'width'>,
): string | undefined {
  if (!isWhole(columns, 1, 100)) return `${what} of ${columns} columns: use 1 to 100`;
  if (!isWhole(rows, 1, 100)) return `${what} of ${rows} rows: use 1 to 100`;
  if (!isWhole(width, 16, 4096) || width % 2 !== 0) {
    return `pictures of ${width} pixels in ${what}: use an even number from 16 to 4096`;
  }
  return columns * width > MAX_SHEET_PIXELS
    ? `${what} of ${columns} times ${width} pixels is too wide: at most ${MAX_SHEET_PIXELS}`
    : undefined;
}
