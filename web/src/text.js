// The one rule for which values in a robot's data are text.

const TEXT_TYPES = new Set(['string', 'number']);
const NOTHING_READ = /^(N\/?A|-)$/i; // what robots write if they found nothing

/** Return *value* as trimmed text; '' for anything but text and numbers, and if the robot found nothing. */
export const plainText = (value) => (TEXT_TYPES.has(typeof value) ? String(value).trim().replace(NOTHING_READ, '') : '');
