// Pins a release: `node release.mjs [directory]`, by default for the directory of this file.
//
// Pages name a version and its hash, so a version's files never change and go on being served. Run this twice: before
// the build of a new version it copies the last version's files in dist/ to names with their version; after the build
// it adds the hashes of the new files to releases.json.

import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FILES = ['rpa-client.js', 'rpa-progress.js', 'rpa-progress.json'];
const here = process.argv[2] ?? dirname(fileURLToPath(import.meta.url));
const pinned = join(here, 'releases.json');
const { version } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'));
const releases = existsSync(pinned) ? JSON.parse(readFileSync(pinned, 'utf8')) : {};
const hash = (name) => `sha384-${createHash('sha384').update(readFileSync(join(here, 'dist', name))).digest('base64')}`;
const found = Object.fromEntries(FILES.map((name) => [name, hash(name)]));
const isSame = (release) => FILES.every((name) => release[name] === found[name]);

const last = Object.keys(releases).pop();
if (releases[version]) {
  if (!isSame(releases[version])) throw new Error(`${version} is pinned with other content: it takes a new version`);
} else if (last && isSame(releases[last])) {
  for (const name of FILES) copyFileSync(join(here, 'dist', name), join(here, 'dist', name.replace('.', `-${last}.`)));
  console.log(`${last} is kept; now build ${version} and run this again`);
} else {
  const kept = last && !existsSync(join(here, 'dist', FILES[0].replace('.', `-${last}.`)));
  if (kept) throw new Error(`the files of ${last} are to be kept first: run this before the build`);
  writeFileSync(pinned, `${JSON.stringify({ ...releases, [version]: found }, null, 2)}\n`);
  console.log(`${version} is pinned`);
}
