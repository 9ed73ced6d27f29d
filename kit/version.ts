/** Where the package lies and which version it is. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The folder that holds package.json: one up from the source tree, two from dist. */
export const PACKAGE_ROOT: string = packageRoot();

/** The program's version, as the package says it. */
export const VERSION: string = packageVersion();

function packageRoot(): string {
  const near = fileURLToPath(new URL('..', import.meta.url));
  const far = fileURLToPath(new URL('../..', import.meta.url));
  return existsSync(`${near}package.json`) ? near : far;
}

function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(`${PACKAGE_ROOT}package.json`, 'utf8'));
  const isManifest = typeof manifest === 'object' && manifest !== null && 'version' in manifest;
  return isManifest ? String(manifest.version) : 'unknown';
}
