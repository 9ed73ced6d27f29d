import { FurrowError } from '../../../kit/furrow-error.ts';
import type { File } from '../../../proto/gen/furrow/v1/step.ts';
import { defineCommand } from '../../command.ts';
import { checkSource } from '../../local-files.ts';
import { integerIn, numberIn, oneOf } from '../../options.ts';
import { checkOutputOption, SUBMIT_OPTIONS, type SubmitOptions } from '../../submit-options.ts';

interface Grid {
  readonly columns: number;
  readonly rows: number;
}

interface ThumbnailsOptions extends SubmitOptions {
  readonly format?: string;
  readonly sheet?: Grid | true;
  readonly sheetWidth?: number;
  readonly times?: boolean;
  readonly sprites?: number | true;
  readonly spriteWidth?: number;
  readonly spriteGrid?: Grid;
  readonly poster?: number | true;
}

export const thumbnails = defineCommand<ThumbnailsOptions>({
  name: 'thumbnails',
  summary: 'make a contact sheet, sprite sheets for a player, a poster',
  description:
    'Makes pictures of a film: a contact sheet (sheet.jpg), sprite sheets with the WebVTT file that players read (sprite-000.jpg, thumbnails.vtt), and a poster (poster.jpg). All three, unless some are named.',
  arguments: [{ syntax: '<file>', help: 'the film' }],
  options: [
    {
      flags: '--format <name>',
      help: 'jpg, png or webp (default: jpg)',
      parse: oneOf('jpg', 'png', 'webp'),
    },
    { flags: '--sheet [columns x rows]', help: 'a contact sheet (default: 4x4)', parse: grid },
    {
      flags: '--sheet-width <pixels>',
      help: 'of each picture in it (default: 320)',
      parse: integerIn(16, 4096),
    },
    { flags: '--no-times', help: 'write no times into it' },
    {
      flags: '--sprites [seconds]',
      help: 'sprite sheets with a picture each so many seconds (default: 10)',
      parse: numberIn(0.1, 3600),
    },
    {
      flags: '--sprite-width <pixels>',
      help: 'of each picture in them (default: 160)',
      parse: integerIn(16, 4096),
    },
    { flags: '--sprite-grid <columns x rows>', help: 'of a sheet (default: 10x10)', parse: grid },
    {
      flags: '--poster [seconds]',
      help: 'a picture of the film at this time (default: a fifth of it)',
      parse: numberIn(0, 200_000),
    },
    ...SUBMIT_OPTIONS,
  ],
  examples: [
    ['furrow submit thumbnails film.mp4 -o pictures/', 'all three'],
    ['furrow submit thumbnails film.mp4 --sprites 5 --format webp -o player/', 'for a player'],
    ['furrow submit thumbnails film.mp4 --poster 12.5 -o poster.jpg', 'one picture'],
  ],
  async run([path = ''], options, context) {
    const { sheet, sheetWidth, times, sprites, spriteWidth, spriteGrid, poster } = options;
    const local = await checkSource(path);
    await checkOutputOption(options);
    const sheetGrid = typeof sheet === 'object' ? sheet : { columns: 0, rows: 0 };
    const wantsSheet = sheet !== undefined || sheetWidth !== undefined || times === false;
    const wantsSprites =
      sprites !== undefined || spriteWidth !== undefined || spriteGrid !== undefined;
    const wanted = {
      format: options.format ?? '',
      sheet: wantsSheet
        ? { ...sheetGrid, width: sheetWidth ?? 0, withoutTimes: times === false }
        : undefined,
      sprites: wantsSprites
        ? {
            intervalMs: typeof sprites === 'number' ? Math.round(sprites * 1000) : 0,
            width: spriteWidth ?? 0,
            columns: spriteGrid?.columns ?? 0,
            rows: spriteGrid?.rows ?? 0,
          }
        : undefined,
      poster:
        poster === undefined
          ? undefined
          : { atMs: typeof poster === 'number' ? Math.round(poster * 1000) : undefined },
    };
    const workOf = ([source]: readonly File[]) =>
      ({ $case: 'thumbnails', value: { source, ...wanted } }) as const;
    const { submitWithFiles } = await import('../../submit-job.ts');
    return submitWithFiles([local], workOf, local.name, options, context);
  },
});

/** `4x3`: columns and rows. */
function grid(text: string): Grid {
  const match = /^([1-9]\d{0,2})x([1-9]\d{0,2})$/.exec(text);
  if (match === null) {
    throw new FurrowError('invalid', 'OPTION_INVALID', `'${text}' is not a grid, such as 4x3`);
  }
  return { columns: Number(match[1]), rows: Number(match[2]) };
}
