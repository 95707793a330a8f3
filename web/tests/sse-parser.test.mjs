// The cases called format-* are those of the web platform tests' eventsource directory, by the names used there.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSseParser } from '../src/sse-parser.js';
import { seeded } from './world.mjs';

const bytes = (text) => (typeof text === 'string' ? new TextEncoder().encode(text) : Uint8Array.from(text));

function parse(...chunks) {
  const found = [];
  const take = createSseParser((data) => found.push(data));
  chunks.forEach((chunk) => take(bytes(chunk)));
  return found;
}

const CASES = {
  'format-bom': ['\uFEFFdata:1\n\n\uFEFFdata:2\n\ndata:3\n\n', ['1', '3']],
  'format-bom-2': ['\uFEFF\uFEFFdata:1\n\ndata:2\n\ndata:3\n\n', ['2', '3']],
  'format-comments': [`data:1\r:\0\n:\r\ndata:2\n:${'x'.repeat(2048)}\rdata:3\n:data:fail\r:${'x'.repeat(2048)}\ndata:4\n\n`, ['1\n2\n3\n4']],
  'format-data-before-final-empty-line': ['retry:1000\ndata:test1\n\nid:test\ndata:test2', ['test1']],
  'format-field-data': ['data:\n\ndata\ndata\n\ndata:test\n\n', ['', '\n', 'test']],
  'format-field-event': ['event:test\ndata:x\n\ndata:x\n\n', ['x']],
  'format-field-event-empty': ['event: \ndata:data\n\n', ['data']],
  'format-field-id-null': ['data: null\nid: \0a\n\ndata: next\n\n', ['null', 'next']],
  'format-field-id': ['id: 1\ndata: a\n\ndata: b\n\n', ['a', 'b']],
  'format-field-parsing': ['data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n', ['\0\n 2\n1\n3\n\n4']],
  'format-field-retry': ['retry:03000\ndata:x\n\n', ['x']],
  'format-field-retry-bogus': ['retry:1000\nretry:1000x\ndata:x\n\n', ['x']],
  'format-field-retry-empty': ['retry\ndata:test\n\n', ['test']],
  'format-field-unknown': ['data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n', ['test\n\ntest']],
  'format-leading-space': ['data:\ttest\rdata: \ndata:test\n\n', ['\ttest\n\ntest']],
  'format-newlines': ['data:test\r\ndata\ndata:test\r\n\r\n', ['test\n\ntest']],
  'format-null-character': ['data:\0\n\n\n\n', ['\0']],
  'format-utf-8': ['data:ok…\n\n', ['ok…']],
  'a named event is not for us': ['event: other\ndata: x\n\n', []],
  'an event without data is none': ['id: 4\nevent: x\n\n: nothing\n\n', []],
  'line separators of JavaScript are not line ends': ['data: a\u2028b\u2029c\n\n', ['a\u2028b\u2029c']],
};

for (const [name, [text, expected]] of Object.entries(CASES)) {
  test(name, () => assert.deepEqual(parse(text), expected));

  test(`${name}, cut into single bytes`, () => assert.deepEqual(parse(...[...bytes(text)].map((byte) => [byte])), expected));

  test(`${name}, cut at random`, () => {
    const random = seeded(name.length);
    const all = bytes(text);
    for (let round = 0; round < 50; round++) {
      const cuts = [...Array(3)].map(() => Math.floor(random() * all.length)).sort((a, b) => a - b);
      const edges = [0, ...cuts, all.length];
      assert.deepEqual(parse(...edges.slice(1).map((end, i) => all.slice(edges[i], end))), expected);
    }
  });
}

test('broken UTF-8 is replaced, as the standard says, and ends nothing', () => {
  assert.deepEqual(parse([...bytes('data:'), 0xff, ...bytes('\n\ndata:b\n\n')]), ['\uFFFD', 'b']);
});

test('a CRLF that is cut in two ends one line, not two', () => {
  assert.deepEqual(parse('data:a\r', '\ndata:b\r', '\n\r', '\n'), ['a\nb']);
});
