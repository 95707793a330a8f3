// Prices as robots scrape them, and as visitors read them.
//
// Pure. A price that was not read is never shown as a number: not as zero, not as NaN. What is no price at all
// ("100% da tabela FIPE") passes through as text.

import { plainText } from './text.js';

const CURRENCY_AND_SPACES = /\s|^R\$/g;
const BRAZILIAN = /^-?(\d{1,3}(\.\d{3})+|\d+)(,\d\d?)?$/; // 1.234,56
const PROGRAMS = /^-?\d+\.\d\d?$/; // 1234.56

/**
 * Parse an amount of money.
 *
 * @param {unknown} value a number, or text such as "R$4.631,57", "R$ 1.234,56" (any kind of space), "1234.56".
 * @returns {number} NaN if it is no amount, or ambiguous ("1,234").
 */
export function parseMoney(value) {
  if (typeof value === 'number') return value;
  const digits = plainText(value).replace(CURRENCY_AND_SPACES, '');
  if (BRAZILIAN.test(digits)) return Number(digits.replace(/\./g, '').replace(',', '.'));
  return PROGRAMS.test(digits) ? Number(digits) : NaN;
}

/** Format a price: "R$ 1.234,56" (with a no-break space) or "R$1,234.56"; other text stays, no value becomes "". */
export function sayMoney(value, lang) {
  const amount = parseMoney(value);
  return Number.isFinite(amount) ? amount.toLocaleString(lang, { style: 'currency', currency: 'BRL' }) : plainText(value);
}
