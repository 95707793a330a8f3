// What the widget adds to a session's snapshot: the position of the bar, the time elapsed and the time left.
//
// Pure: no clock, no DOM. Invariants: within one run the bar never goes back; another epoch is another run and starts
// from the beginning. Nothing that a server sends is trusted to have the right type.

import { isQuote } from './outcome.js';
import { plainText } from './text.js';
import { pace, smooth } from './time-left.js';

const PLAUSIBLE_MS = 900_000; // an older timestamp means that the clocks differ: no step takes a quarter of an hour
const STEP_IS_OVER = /.*(conclu|pulad|falh).*/; // "concluída", "pulada" or "falhou" says how a step ended, not its name

/**
 * Advance the model to a new snapshot.
 *
 * @param {object} previous the model so far, {} at first. Its stamps are ms by the robot's clock; `_clockSkew` is how
 *   far the visitor's clock is ahead of that.
 * @param {object} snapshot as in docs/api.rst, plus `erro`: the error in the newest update.
 * @param {number} now ms since 1970, the visitor's clock.
 */
export function applySnapshot(previous, snapshot, now) {
  const model = previous._epoch === snapshot.epoch ? { ...previous } : { _epoch: snapshot.epoch, _percent: 0 };
  model._error = plainText(snapshot.erro);
  // The robot's timestamps have no zone, so durations are differences between them. The age of the last one is added
  // only if it is plausible (below PLAUSIBLE_MS); otherwise the clocks differ, and the age is taken to be 0.
  model._lastStamp = Date.parse(snapshot.timestamp_atualizacao) || now;
  model._clockSkew = now - model._lastStamp;
  if (model._clockSkew > 0 && model._clockSkew < PLAUSIBLE_MS) model._clockSkew = 0;
  model._startStamp ??= Date.parse(snapshot.timestamp_inicio) || model._lastStamp;
  // When a run ends, the robot reports the last step, wherever it stopped. So a run without a quote stays at the step
  // that it had reached.
  const isStopped = snapshot.final && !isQuote(snapshot.estado);
  const step = isStopped ? model._step ?? 0 : Math.floor(snapshot.etapa_atual);
  if (step !== model._step) beginStep(model, step, snapshot);
  return advance(model, snapshot, now);
}

function beginStep(model, step, snapshot) {
  model._isRepeated = step < model._step;
  model._hasPace = model._step >= 0; // the time left is estimated from the second step on
  model._stepStamp = model._lastStamp;
  model._step = step;
  // The first message of a step is the step's name, unless it says that the step is over.
  model._stepName = plainText(snapshot.mensagem).replace(STEP_IS_OVER, '');
}

/** Advance the bar and the estimate to the time *now*. */
export function advance(model, snapshot, now) {
  const clock = snapshot.final ? model._lastStamp : now - model._clockSkew;
  const elapsed = (clock - model._startStamp) / 1000;
  const inStep = (clock - model._stepStamp) / 1000;
  const { _percent, _isLate, _secondsLeft } = pace(snapshot.total_etapas, model._step, inStep, elapsed);
  const isLate = !snapshot.final && _isLate;
  const hasEstimate = model._hasPace && !snapshot.final && !isLate;
  const atEnd = isQuote(snapshot.estado) ? 100 : 0;
  const percent = (snapshot.final ? atEnd : _percent) || 0;
  return {
    ...model,
    _elapsed: elapsed,
    _isLate: isLate,
    _secondsLeft: hasEstimate ? smooth(model._secondsLeft, _secondsLeft, elapsed - model._elapsed) : NaN,
    _percent: Math.max(model._percent, percent),
  };
}
