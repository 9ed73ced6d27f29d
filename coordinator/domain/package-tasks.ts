/** Tasks that package films for players on the web, with the shape of furrow.v1's messages, as `task.ts` says. */
export interface Packaging {
  readonly hls: boolean;
  readonly dash: boolean;
}

export interface PackagedFilm {
  readonly film: string;
  /** Of a 16:9 frame. */
  readonly lines: number;
}

export type PackageTaskKind =
  | {
      readonly $case: 'packageFilms';
      readonly value: {
        /** Of the folder. */
        readonly name: string;
        readonly films: readonly PackagedFilm[];
        readonly packaging: Packaging | undefined;
        /** Wanted length of a segment of sound. */
        readonly pieceMs: number;
      };
    }
  | {
      readonly $case: 'provePackage';
      readonly value: {
        readonly name: string;
        readonly films: readonly PackagedFilm[];
        readonly packaging: Packaging | undefined;
      };
    };
