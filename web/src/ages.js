// When the robot last reported, and when its run and its step began: in ms by the visitor's clock.
//
// Pure. The server tells how long ago that was; from there the page counts on by its own clock. A robot's times are only
// subtracted from one another, never from the visitor's: clocks and zones differ.
//
// *Times* are [heardAt, beganAt, stepAt, syncedAt], a list so that they can be stored; syncedAt is the time of the last
// sync that updates followed.

const REPLAY_MS = 2000; // updates that come so soon after a sync may be older: those that the page had missed

/** By snapshot, as withAges() made it: ms since its step began, as far as the page knows. */
const stepAges = new WeakMap();

/** Return an age that a server told; *otherwise* if it is none. */
const ageOf = (value, otherwise) => (value > 0 ? value : otherwise);

/** Return a robot's time in ms; NaN for anything but ISO 8601: browsers make a date of nearly every text. */
const parseTime = (value) => Date.parse(/^\d{4}-/.test(value) && String(value).replace(' ', 'T'));

/** Return the ms from the run's beginning to its last report, by the robot's clock; NaN if its times can't be read. */
const lasted = (snapshot) => parseTime(snapshot.timestamp_atualizacao) - parseTime(snapshot.timestamp_inicio);

const stepOf = (snapshot) => Math.floor(snapshot.etapa_atual);

/**
 * Return the times after a message.
 *
 * @param {object} message an update that was next, a whole snapshot, or a sync that updates follow.
 * @param {object} snapshot the snapshot after it.
 * @param {object | null} before the snapshot before it.
 * @param {number[] | undefined} known the times before it; undefined if *before* is of another run.
 * @param {number} now when it came, by the visitor's clock.
 */
export const timesAfter = (message, snapshot, before, known, now) => {
  const { recovered } = message;
  const { idade_ms, duracao_ms } = message.snapshot ?? message; // an update has neither: it was spoken just now
  const [heardBefore, beganBefore, stepBefore, syncedAt] = known ?? [];
  const newest = now - ageOf(idade_ms, 0);
  const beganAt = now - ageOf(duracao_ms, now - (beganBefore ?? (Math.min(newest, newest - lasted(snapshot)) || newest)));
  // What the page has, or gets now, may be older than the newest report that the server has.
  const mayBeOlder = recovered || (!message.snapshot && now - syncedAt < REPLAY_MS);
  const heardAt = (mayBeOlder && Math.max(beganAt, Math.min(beganAt + lasted(snapshot), newest))) || newest;
  const moved = recovered ? heardAt - heardBefore : 0; // the server knows better: the step moves along
  const isSameStep = known && stepOf(before) === stepOf(snapshot);
  return [heardAt, beganAt, isSameStep ? Math.min(stepBefore + moved, heardAt) : heardAt, recovered ? now : syncedAt];
};

/** Return *snapshot* with how old it is at *now*. */
export const withAges = (snapshot, times, now) => {
  const [idade_ms, duracao_ms, stepAge] = times.map((time) => Math.max(0, now - time));
  const aged = { ...snapshot, idade_ms, duracao_ms };
  stepAges.set(aged, stepAge);
  return aged;
};

/** Return for how many ms the step of *snapshot*, of withAges(), has lasted. */
export const stepAge = (snapshot) => stepAges.get(snapshot);
