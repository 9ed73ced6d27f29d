/** --help, --version and bad usage answer at once: what they load is the parser and the words. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';

const MAIN = join(import.meta.dirname, '..', '..', '..', 'cli', 'main.ts');
/** Imports of values, which are loaded with the file; not those of types, nor those asked for later. */
const STATIC_IMPORT = /^(?:import|export)\s(?!type\b)(?:[^'";]*?\sfrom\s)?'(?<path>[^']+)'/gm;

/** Packages that are loaded with a file, and by which file first. */
function packagesOf(main: string): Map<string, string> {
  const packages = new Map<string, string>();
  const files = new Set([main]);
  for (const file of files) {
    for (const { groups } of readFileSync(file, 'utf8').matchAll(STATIC_IMPORT)) {
      const path = groups?.['path'] ?? '';
      if (path.startsWith('.')) files.add(join(dirname(file), path));
      else if (!path.startsWith('node:') && !packages.has(path)) packages.set(path, file);
    }
  }
  return packages;
}

test('the command line loads its parser and no other package', () => {
  expect([...packagesOf(MAIN).keys()]).toEqual(['commander']);
});

test('a package that a command needs would be seen', () => {
  expect([...packagesOf(join(dirname(MAIN), 'client.ts')).keys()]).toContain('@grpc/grpc-js');
});
