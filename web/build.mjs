// Makes what pages load: `node build.mjs [directory]` writes the scripts, and what the widget takes from beside its own,
// into dist/.
//
// esbuild bundles and shortens the names that begin with an underscore, which are ours alone: no page, no wire and no
// browser has one. terser shortens the rest: its output is 4 % smaller when compressed. Both are pinned, so the same
// sources make the same bytes everywhere.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, transform } from 'esbuild';
import { minify } from 'terser';
import * as more from './src/more.js';

/** Script → what it is made of. */
const ENTRIES = {
  'rpa-client': 'src/rpa-client.js', // the clients
  'rpa-progress': 'src/index.js', // the clients, the widget and the bindings
};
const here = dirname(fileURLToPath(import.meta.url));
const target = process.argv[2] ?? join(here, 'dist');

/** Return the text of the script that *entry* makes: one function that leaves no names on the page but those it means to. */
async function script(entry) {
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
    legalComments: 'none',
    logLevel: 'warning',
  });
  const { code } = await minify(bundled.outputFiles[0].text, {
    ecma: 2020,
    module: true,
    compress: { passes: 3, unsafe_arrows: true, pure_getters: true, keep_fargs: false },
  });
  return `(()=>{${code}})();\n`;
}

mkdirSync(target, { recursive: true });
const write = (name, text) => writeFileSync(join(target, name), text);
for (const [name, entry] of Object.entries(ENTRIES)) write(`${name}.js`, await script(entry));

// The style, as data for a constructable sheet and as a file for browsers without.
const { code: css } = await transform(readFileSync(join(here, 'src/style.css'), 'utf8'), { loader: 'css', minify: true });
write('rpa-progress.css', css);
write('rpa-progress.json', JSON.stringify({ css, ...more }));
