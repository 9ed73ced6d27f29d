/** The owner's word on what units' programs may do here: part of the agent's settings. */
import { isAbsolute } from 'node:path';
import { z } from 'zod';

/** Several with commas between, or a list. */
const listSchema = z
  .union([z.string(), z.array(z.string())])
  .default('')
  .transform((given) => [given].flat().flatMap((text) => text.split(',')))
  .transform((words) => words.map((word) => word.trim()).filter((word) => word !== ''));

const programsSchema = listSchema
  .refine(
    (words) => words.every((word) => isAbsolute(word) || !/[/\\]/.test(word)),
    'must be none, all, or programs by name or absolute path, with commas between',
  )
  .refine(
    (words) => words.length === 1 || !words.some((word) => word === 'all' || word === 'none'),
    'must be none, or all, or a list of programs',
  )
  .transform((words): AllowedPrograms => {
    if (words[0] === 'all') return 'all';
    return words[0] === 'none' ? [] : words;
  });

/** Programs by their names on PATH or their absolute paths. */
export type AllowedPrograms = 'all' | readonly string[];

export const PROGRAM_SETTINGS = {
  allowCommands: programsSchema,
  sandbox: z.enum(['auto', 'bwrap', 'off']).default('auto'),
  allowNetwork: z.union([z.boolean(), z.stringbool()]).default(false),
  /** Folders that units may read, besides the system's. */
  allowRead: listSchema.refine(
    (paths) => paths.every((path) => isAbsolute(path)),
    'must be absolute paths, with commas between',
  ),
  /** Variables of the agent's environment that units get. */
  passEnv: listSchema.refine(
    (names) => names.every((name) => /^[A-Za-z_]\w*$/.test(name) && !name.startsWith('FURROW_')),
    "must be names of variables, with commas between, and none of Furrow's own",
  ),
};

const text = { type: 'string' } as const;
const texts = { type: 'string', multiple: true } as const;

export const PROGRAM_FLAGS = {
  'allow-commands': texts,
  sandbox: text,
  'allow-network': { type: 'boolean' },
  'allow-read': texts,
  'pass-env': texts,
} as const;

export const PROGRAM_USAGE = `
What programs of units may do here (films always run):
  --allow-commands WHAT   none; all; or the only programs that units may start, such as blender,ffmpeg
                          (default: none)
  --sandbox HOW           bwrap: no unit without it; auto: where it works; off (default: auto)
  --allow-network         programs in the sandbox may have the network if their step asks for it
  --allow-read DIR        what programs in the sandbox may read besides the system; may be repeated
  --pass-env NAME         a variable of the agent's environment that programs get; may be repeated
`;
