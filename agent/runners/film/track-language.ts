/** Languages of tracks: which codes mean the same, and which of them a container can say. Pure. */
import type { Container } from './container.ts';

/** `ger`, `deu` and `de` → `de`; `pt-BR` → `pt-br`; what is no code stays what it is. */
export function canonicalLanguage(code: string): string {
  try {
    return (Intl.getCanonicalLocales(code)[0] ?? code).toLowerCase();
  } catch {
    return code.toLowerCase();
  }
}

/** QuickTime numbers its languages: these are the ones that ffmpeg finds a number for. */
const QUICKTIME_LANGUAGES = [
  'eng fra ger ita dut spa dan por nor heb jpn ara fin gre ice mlt tur chi urd hin tha kor lit pol hun',
  'est lav rus iri alb ron ces slk slv yid mac bul ukr bel uzb kaz aze arm geo mol kir tgk tuk mon pus',
  'kur kas snd tib nep san mar ben asm guj ori mal kan tam tel bur khm lao vie ind tgl may amh tir orm',
  'som swa run mlg epo wel baq cat lat que grn aym tat uig dzo jav',
]
  .join(' ')
  .split(' ');

/**
 * The code under which a container says a track's language: Matroska takes any, MP4 three letters,
 * QuickTime those that it knows. `und` for what it cannot say.
 */
export function languageIn(container: Container, language: string | undefined): string {
  const known = language ?? 'und';
  switch (container) {
    case 'mkv':
    case 'webm':
      return known;
    case 'mp4':
      return /^[a-z]{3}$/.test(known) ? known : 'und';
    case 'mov': {
      if (QUICKTIME_LANGUAGES.includes(known)) return known;
      const canonical = canonicalLanguage(known);
      return QUICKTIME_LANGUAGES.find((code) => canonicalLanguage(code) === canonical) ?? 'und';
    }
  }
}
