/** Tasks of which films are made, with the shape of furrow.v1's messages, as `task.ts` says. */
export interface VideoEncoding {
  readonly encoder: string;
  readonly crf: number;
  readonly preset: string;
  /** Pixels; 0 keeps the source's shape. */
  readonly width: number;
  /** Pixels; 0 keeps the source's shape. */
  readonly height: number;
  /** 0 takes the unit's CPUs. */
  readonly threads: number;
}

export interface AudioEncoding {
  readonly encoder: string;
  /** Bits a second for each track; 0 takes the encoder's default. */
  readonly bitrateBps: number;
  /** Absent for all tracks. */
  readonly tracks?: AudioTrackChoice | undefined;
}

export interface AudioTrackChoice {
  readonly first: boolean;
  readonly languages: readonly string[];
}

export type FilmTaskKind =
  | {
      readonly $case: 'split';
      readonly value: { readonly source: string; readonly pieceMs: number };
    }
  | { readonly $case: 'encode'; readonly value: { readonly video: VideoEncoding | undefined } }
  | {
      readonly $case: 'audio';
      readonly value: { readonly source: string; readonly audio: AudioEncoding | undefined };
    }
  | { readonly $case: 'concat'; readonly value: { readonly source: string; readonly film: string } }
  | {
      readonly $case: 'proveFilm';
      readonly value: { readonly source: string; readonly film: string };
    };
