// Prices as robots scrape them, and as visitors read them.
//
// Pure. A price that was not read is never shown as a number: not as zero, not as NaN. What is no price at all
// ("100% da tabela FIPE") passes through as text.

/** A field's words without spaces around; "" for nothing, for an object, and for what robots write when they read nothing. */
export const text = (value) => (/^[sn]/.test(typeof value) ? `${value}`.trim().replace(/^(N\/?A|-)$/i, '') : '');

/**
 * Read an amount of money.
 *
 * @param {unknown} value a number, or text such as "R$4.631,57", "R$ 1.234,56" (any kind of space), "1234.56".
 * @returns {number} NaN where it is none, or could mean two things ("1,234").
 */
export function parseMoney(value) {
  if (typeof value === 'number') return value;
  const digits = text(value).replace(/\s|^R\$/g, '');
  if (/^-?(\d{1,3}(\.\d{3})+|\d+)(,\d\d?)?$/.test(digits)) return +digits.replace(/\./g, '').replace(',', '.');
  return /^-?\d+\.\d\d?$/.test(digits) ? +digits : NaN; // a program's number
}

/** Say a price: "R$ 1.234,56" (with a space that does not break) or "R$1,234.56", other words as they are, else "". */
export function sayMoney(value, lang) {
  const amount = parseMoney(value);
  return Number.isFinite(amount) ? amount.toLocaleString(lang, { style: 'currency', currency: 'BRL' }) : text(value);
}
