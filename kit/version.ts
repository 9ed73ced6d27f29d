/** The program's version, as the package says it. */
import { readFileSync } from 'node:fs';

export const VERSION: string = packageVersion();

/** From the source tree the package is one folder up, from dist two. */
function packageVersion(): string {
  for (const up of ['../package.json', '../../package.json']) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(up, import.meta.url), 'utf8'));
      if (name === 'furrow') return String(version);
    } catch {
      // Not there: look further up.
    }
  }
  return 'unknown';
}
