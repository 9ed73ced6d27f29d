/** The program's version, as the package says it. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const VERSION: string = packageVersion();

/** From the source tree the package is one folder up, from dist two. */
function packageVersion(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  for (const up of ['..', '../..']) {
    try {
      const { name, version } = JSON.parse(readFileSync(join(here, up, 'package.json'), 'utf8'));
      if (name === 'furrow') return String(version);
    } catch {
      // Not there: look further up.
    }
  }
  return 'unknown';
}
