// Builds what pages load. `node build.mjs` writes the scripts and the widget's data file to dist/, and page-outcomes.js
// beside page.js; `node build.mjs DIRECTORY` writes all of them to DIRECTORY.
//
// esbuild bundles, and shortens property names that begin with an underscore. No page, message or browser uses such
// names, so they may be as long as reads best. terser then minifies the bundle, which makes it 4 % smaller when
// compressed. Both have pinned versions, so that the same sources make the same bytes everywhere.

import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, transform } from 'esbuild';
import { minify } from 'terser';
import * as loadedData from './src/loaded-data.js';
import { OUTCOMES } from './src/outcome.js';

/** The scripts, and the module that each is built from. */
const ENTRIES = {
  'rpa-client': 'src/rpa-client.js', // the clients
  'rpa-progress': 'src/rpa-progress.js', // the clients, the widget and the bindings
};
const here = dirname(fileURLToPath(import.meta.url));
const target = process.argv[2] ?? join(here, 'dist');
const read = (name) => readFileSync(join(here, name), 'utf8');
const write = (name, text) => writeFileSync(join(target, name), text);

/** Build *entry* as one function, so that its names are not global; *known* has the constants that it uses, by name. */
async function buildScript(entry, known) {
  const bundled = await build({
    absWorkingDir: here,
    entryPoints: [entry],
    write: false,
    bundle: true,
    format: 'esm',
    target: 'es2020',
    charset: 'utf8',
    minifySyntax: true,
    minifyWhitespace: true,
    mangleProps: /^_[a-z]/,
    define: Object.fromEntries(Object.entries(known).map(([name, value]) => [name, JSON.stringify(value)])),
    legalComments: 'none',
    logLevel: 'warning',
  });
  const { code } = await minify(bundled.outputFiles[0].text, {
    ecma: 2020,
    module: true,
    compress: { passes: 3, sequences: false, unsafe: true, unsafe_arrows: true, pure_getters: true, keep_fargs: false },
  });
  return `(()=>{${code}})();\n`;
}

mkdirSync(target, { recursive: true });
// The data file: style and words. The script has its hash, so that a page that pins the script pins the file, too.
const { code: css } = await transform(read('src/style.css'), { loader: 'css', minify: true });
const data = JSON.stringify({ css, ...loadedData });
write('rpa-progress.json', data);
const known = {
  VERSION: JSON.parse(read('package.json')).version,
  INTEGRITY: `sha256-${createHash('sha256').update(data).digest('base64')}`,
};
// page.js is served unbuilt and cannot import the sources, so it imports this file.
const outcomes = Object.entries(OUTCOMES)
  .map(([name, { _words, _kind }]) => `  ${name}: ${JSON.stringify({ words: _words, kind: _kind })},\n`);
writeFileSync(
  join(process.argv[2] ?? here, 'page-outcomes.js'),
  `// Made by build.mjs of src/outcome.js: the words and the colours of page.js.\n\nexport const OUTCOMES = {\n`
    + `  __proto__: null, // so that a server's word such as "constructor" finds nothing here\n${outcomes.join('')}};\n`,
);
for (const [name, entry] of Object.entries(ENTRIES)) write(`${name}.js`, await buildScript(entry, known));
