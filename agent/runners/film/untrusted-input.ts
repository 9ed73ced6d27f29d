/**
 * How a file that came from a user or another agent is handed to ffmpeg: looked at first, fenced, and
 * under a name of ours. A stranger's name never reaches ffmpeg, which takes names for hints (endings),
 * patterns (`%d`) and protocols (`concat:`), so that the format is decided by the file's bytes alone.
 */
import { lstat, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { FILM_DEMUXERS, inputFence } from '../../../kit/film-fence.ts';
import { unsafeName } from '../../../kit/safe-name.ts';
import { FilmFault } from './film-fault.ts';

/** `frames`: a sequence of pictures, found by a pattern of ours. */
export type InputKind = 'film' | 'list' | 'frames';

const DEMUXERS: Readonly<Record<InputKind, readonly string[]>> = {
  film: FILM_DEMUXERS,
  list: ['concat', 'mov'],
  frames: ['image2'],
};

/**
 * Options before an input. A list is one that we wrote ourselves; the chunks that it names are MP4 and
 * were seen to begin as such, or one of them could be a list in its turn.
 */
export function untrustedInput(kind: InputKind): readonly string[] {
  return inputFence(DEMUXERS[kind]);
}

/** Names that the runners make. */
const OWN_NAME =
  /^(piece-\d{5}\.(nut|mkv)|chunk-\d{5}\.mp4|audio\.(m4a|mka)|chunks\.ffconcat|picture-%06d\.(png|jpg))$/;

interface OpenInput {
  /** What ffmpeg is told, without `file:`. */
  readonly alias: string;
  readonly sizeBytes: number;
}

/** The inputs of one attempt; `close` takes their aliases away again. */
export class UntrustedInputs {
  readonly #directory: string;
  readonly #aliases = new Map<string, string>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Throws FilmFault `invalid-input` when the name leaves the directory, or names no regular file. */
  async open(name: string): Promise<OpenInput> {
    const sizeBytes = (await this.sizeOf(name)) ?? 0;
    if (OWN_NAME.test(name)) return { alias: name, sizeBytes };
    const known = this.#aliases.get(name);
    if (known !== undefined) return { alias: known, sizeBytes };
    const alias = await this.#link(name);
    this.#aliases.set(name, alias);
    return { alias, sizeBytes };
  }

  /** Undefined when it is not there, which ffmpeg will say too. Throws as `open` does. */
  async sizeOf(name: string): Promise<number | undefined> {
    const why = unsafeName(name);
    if (why !== undefined) {
      throw new FilmFault('invalid-input', `the film's name ${JSON.stringify(name)}: ${why}`);
    }
    const stats = await lstat(join(this.#directory, name)).catch(() => undefined);
    if (stats !== undefined && !stats.isFile()) {
      throw new FilmFault('invalid-input', `${name} is not a regular file: give the video itself`);
    }
    return stats?.size;
  }

  /** What ffmpeg said, under the names that people know. */
  inTheirNames(line: string): string {
    let text = line;
    for (const [name, alias] of this.#aliases) {
      text = text.replaceAll(`file:${alias}`, () => name).replaceAll(alias, () => name);
    }
    return text;
  }

  async close(): Promise<void> {
    for (const alias of this.#aliases.values()) {
      await rm(join(this.#directory, alias), { force: true });
    }
    this.#aliases.clear();
  }

  /** Nothing in it that means anything to ffmpeg: no ending, no `%`, no colon. */
  async #link(name: string): Promise<string> {
    for (let number = this.#aliases.size; ; number += 1) {
      const alias = `untrusted-input-${number}`;
      try {
        await symlink(name, join(this.#directory, alias));
        return alias;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
    }
  }
}
