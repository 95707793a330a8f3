// Errors: their category, the text for the visitor, and which of them are final.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { RPAError, refusal } from '../src/errors.js';

const CATEGORIES = {
  config: 'config', mixed_content: 'config', csp_blocked: 'config',
  auth: 'access', forbidden: 'access', not_found: 'access', gone: 'access',
  rate_limited: 'busy', full: 'busy',
  network: 'network', connect_timeout: 'network', stale: 'network', protocol: 'network', server_shutdown: 'network',
  server_error: 'network', closed: 'network',
  job_failed: 'job', job_timeout: 'job',
};

test('every code of the types has its category, and the category its words', () => {
  const types = readFileSync(new URL('../rpa-progress.d.ts', import.meta.url), 'utf8');
  const [, codes] = /type RPAErrorCode =([^;]*);/.exec(types);
  assert.deepEqual([...codes.matchAll(/'(\w+)'/g)].map(([, code]) => code).sort(), Object.keys(CATEGORIES).sort());
  const words = new Map();
  for (const [code, category] of Object.entries(CATEGORIES)) {
    const error = new RPAError(code);
    assert.equal(error.category, category, code);
    assert.equal(words.get(category) ?? error._visitorText, error._visitorText);
    words.set(category, error._visitorText);
  }
  assert.equal(new Set(words.values()).size, 5);
});

test('a refusal is final where our own server says so, and leads to another transport where a proxy may have spoken', () => {
  const cases = [
    [404, { code: 'session_unknown', temporary: false }, 'not_found', true, true],
    [404, {}, 'not_found', false, true],
    [429, { temporary: false }, 'rate_limited', false, false],
    [503, { code: 'full', temporary: true }, 'full', false, true],
    [500, {}, 'server_error', false, false],
    [1006, {}, 'network', false, false],
    [1012, {}, 'server_shutdown', false, false],
  ];
  for (const [number, body, code, fatal, next] of cases) {
    const error = refusal(number, body);
    assert.deepEqual([error.code, error.fatal, error._tryNextTransport], [code, fatal, next], `${number}`);
  }
});
