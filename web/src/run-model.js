// What the widget adds to a session's snapshot: the position of the bar, the time elapsed and the time left.
//
// Pure: no clock, no DOM. Invariants: within one run the bar never goes back; another epoch is another run and starts
// from the beginning. Nothing that a server sends is trusted to have the right type.

import { isQuote } from './outcome.js';
import { plainText } from './text.js';
import { pace, smooth } from './time-left.js';

const STEP_IS_OVER = /.*(conclu|pulad|falh).*/; // "concluída", "pulada" or "falhou" says how a step ended, not its name

/**
 * Advance the model to a new snapshot.
 *
 * @param {object} previous the model so far, {} at first.
 * @param {object} snapshot as the client has it now, with its ages, plus `erro`, the error in the newest update, and
 *   `_stepMs`, how long the step has lasted.
 */
export function applySnapshot(previous, snapshot) {
  const model = previous._epoch === snapshot.epoch ? { ...previous } : { _epoch: snapshot.epoch, _percent: 0 };
  model._error = plainText(snapshot.erro);
  // When a run ends, the robot reports the last step, wherever it stopped. So a run without a quote stays at the step
  // that it had reached.
  const isStopped = snapshot.final && !isQuote(snapshot.estado);
  const step = isStopped ? model._step ?? 0 : Math.floor(snapshot.etapa_atual);
  if (step !== model._step) beginStep(model, step, snapshot);
  return advance(model, snapshot);
}

function beginStep(model, step, snapshot) {
  model._isRepeated = step < model._step;
  model._hasPace = model._step >= 0; // the time left is estimated from the second step on
  model._step = step;
  // The first message of a step is the step's name, unless it says that the step is over.
  model._stepName = plainText(snapshot.mensagem).replace(STEP_IS_OVER, '');
}

/** Advance the bar and the estimate to the ages of *snapshot*. */
export function advance(model, snapshot) {
  const ended = snapshot.final ? snapshot.idade_ms : 0; // a run that has ended lasts no longer
  const elapsed = (snapshot.duracao_ms - ended) / 1000;
  const inStep = (snapshot._stepMs - ended) / 1000;
  const { _percent, _isLate, _secondsLeft } = pace(snapshot.total_etapas, model._step, inStep, elapsed);
  const isLate = !snapshot.final && _isLate;
  const hasEstimate = model._hasPace && !snapshot.final && !isLate;
  const atEnd = isQuote(snapshot.estado) ? 100 : 0;
  const percent = (snapshot.final ? atEnd : _percent) || 0;
  return {
    ...model,
    _elapsed: elapsed,
    _isLate: isLate,
    _secondsLeft: hasEstimate ? smooth(model._secondsLeft, _secondsLeft, Math.max(0, elapsed - model._elapsed)) : NaN,
    _percent: Math.max(model._percent, percent),
  };
}
