// The one rule of what counts as text in what robots write.

const TEXT_TYPES = new Set(['string', 'number']);
const NOTHING_READ = /^(N\/?A|-)$/i; // what robots write when they found nothing

/** Return *value* as text without spaces around it; '' for anything but words and numbers, and where nothing was read. */
export const plainText = (value) => (TEXT_TYPES.has(typeof value) ? String(value).trim().replace(NOTHING_READ, '') : '');
