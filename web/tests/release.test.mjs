// Releases: the files that pages name by version and hash are kept, and never change.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';

const FILES = ['rpa-client.js', 'rpa-progress.js', 'rpa-progress.json'];
const program = fileURLToPath(new URL('../release.mjs', import.meta.url));

test('a version is pinned once, and the last one is kept before the next is built', (t) => {
  const here = mkdtempSync(join(tmpdir(), 'release-'));
  t.after(() => rmSync(here, { recursive: true }));
  mkdirSync(join(here, 'dist'));
  const build = (text) => FILES.forEach((name) => writeFileSync(join(here, 'dist', name), `${text} ${name}`));
  const set = (version) => writeFileSync(join(here, 'package.json'), JSON.stringify({ version }));
  const release = () => spawnSync(process.execPath, [program, here]).status;
  const read = (name) => readFileSync(join(here, name), 'utf8');

  build('one');
  set('1.0.0');
  assert.equal(release(), 0);
  assert.equal(release(), 0, 'nothing has changed');
  const pinned = JSON.parse(read('releases.json'));
  build('changed');
  assert.equal(release(), 1, 'other content takes another version');
  set('1.1.0');
  assert.equal(release(), 1, 'what pages have is not kept');
  build('one');
  assert.equal(release(), 0);
  build('two');
  assert.equal(release(), 0);
  assert.equal(read('dist/rpa-progress-1.0.0.js'), 'one rpa-progress.js');
  assert.equal(read('dist/rpa-progress-1.0.0.json'), 'one rpa-progress.json');
  const both = JSON.parse(read('releases.json'));
  assert.deepEqual(Object.keys(both), ['1.0.0', '1.1.0']);
  assert.deepEqual(both['1.0.0'], pinned['1.0.0']);
});
