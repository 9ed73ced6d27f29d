/** Our own package: where it is, and its version. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Folder of package.json, and the program's version as it says. */
export const { root: PACKAGE_ROOT, version: VERSION } = findPackage();

/** From the source tree the package is one folder up, from dist two, from the bench's own build three. */
function findPackage(): { root: string; version: string } {
  for (const up of ['../', '../../', '../../../']) {
    const root = new URL(up, import.meta.url);
    try {
      const { name, version } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'));
      if (name === 'furrow') return { root: fileURLToPath(root), version: String(version) };
    } catch {
      // Not there: look further up.
    }
  }
  throw new Error('furrow is not installed whole: its package.json is missing');
}
