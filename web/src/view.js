// A run in words: what the widget and data-rpa-text show of a snapshot and its model (run-model.js).
//
// Pure: no clock, no DOM. Nothing that a server sends is trusted to have the right type.

import { parseMoney, sayMoney } from './money.js';
import { failureCode, isQuote, kindOf } from './outcome.js';
import { plainText } from './text.js';
import { roundMinutes } from './time-left.js';
import { duration, loaded, translate } from './words.js';

const UNKNOWN = 'não informado';
const PLANS = ['recomendado', 'alternativo'];
const MONEY_FIELDS = new Set([
  'valor', 'valor_franquia', 'valor_mercado', 'danos_materiais', 'danos_corporais', 'danos_morais', 'morte_invalidez',
]);
const FULL_STOP = /^RPA \w+$/; // "RPA success" and the like mark the end of a run, and mean nothing to a visitor
// The robot reads a cover's name and the "De" before its price as one word: "RCFDe".
const GLUED_DE = /(\p{Ll}|[A-Z]{2})De$/u;

/**
 * Describe a run in the words that the widget and data-rpa-text show; docs/webflow.rst lists their names.
 *
 * @param {object} model see run-model.js; {} while nothing is known.
 * @param {object} snapshot {} while nothing is known.
 * @param {string} lang pt-BR or en.
 * @returns {object} words by name; and on (the conditions of data-rpa-show), _kind (see outcome.js), value (the bar's,
 *   undefined while there is none), estimate (a list of [title, words]) and plans (a list of [title, words, rows], each
 *   row being [title, words]).
 */
export function describe(model, snapshot, lang) {
  const say = (...words) => translate(lang, ...words);
  const money = (value) => sayMoney(value, lang) || say(UNKNOWN);
  const view = describeState(model, snapshot, say);
  describePlans(view, snapshot.resultado, say, money);
  describeEstimates(view, snapshot.estimativas, say, money);
  // Hints are named after conditions, and are the first entries of the words.
  const [, hint] = Object.entries(loaded.words).find(([name]) => view.on[name]) ?? [];
  const hasPrice = view.plans.some(([, price]) => price !== say(UNKNOWN));
  view.dica = hasPrice ? '' : say(hint);
  return view;
}

/** Add the plans, for the widget and as plan.recomendado.valor and so on. */
function describePlans(view, result, say, money) {
  view.plans = [];
  for (const name of PLANS) {
    const plan = result?.[`plano_${name}`];
    if (!plan) continue;
    const sayField = (key) => {
      if (typeof plan[key] === 'boolean') return say(loaded.words[plan[key]]);
      return MONEY_FIELDS.has(key) ? money(plan[key]) : plainText(plan[key]) || say(UNKNOWN);
    };
    const rows = loaded.fields.map(([key, title]) => {
      const words = sayField(key);
      view[`plan.${name}.${key}`] = words;
      return [say(title), words];
    });
    const price = sayField('valor');
    view[`plan.${name}.valor`] = price;
    // If no field was read, the robot's "false" is only its default and means nothing either.
    const isRead = loaded.fields.some(([key]) => plan[key] === true || plainText(plan[key]));
    view.plans.push([say(name), price, isRead ? rows : []]);
  }
}

/** Add the estimates, each with its range, and the overall range as estimate.min and estimate.max. */
function describeEstimates(view, estimates, say, money) {
  const covers = estimates?.coberturas_detalhadas;
  const lows = [];
  const highs = [];
  view.estimate = (Array.isArray(covers) ? covers : []).map((cover) => {
    const { nome, nome_cobertura, valores } = cover ?? {};
    const { de, ate } = valores ?? {};
    lows.push(parseMoney(de));
    highs.push(parseMoney(ate));
    return [plainText(nome ?? nome_cobertura).replace(GLUED_DE, '$1'), say('De # até @', money(de), money(ate))];
  });
  if (!view.estimate.length) return;
  const ascending = (amounts) => amounts.filter((amount) => amount >= 0).sort((one, other) => one - other);
  view['estimate.min'] = money(ascending(lows)[0]);
  view['estimate.max'] = money(ascending(highs).pop());
}

/** Return the error text for the visitor; '' without one, or if after it the run went on or ended without failure. */
function sayError(model, snapshot) {
  const { estado, final, erros } = snapshot;
  const lastError = erros?.[erros.length - 1];
  const words = plainText(lastError?.erro) || model._error;
  if (final) return failureCode(estado) ? words : '';
  return lastError && lastError.timestamp === snapshot.timestamp_atualizacao ? words : '';
}

function sayNotice(model, isFinal, say) {
  if (model._isLate) return say(loaded.words.late, model._step);
  return model._isRepeated && !isFinal ? say(loaded.words.again) : '';
}

function sayTimeLeft(seconds, say) {
  if (!(seconds >= 0)) return '';
  const minutes = roundMinutes(seconds);
  return say(minutes ? loaded.words.left : loaded.words.little, minutes);
}

function describeState(model, snapshot, say) {
  const { _step: step, _stepName: name } = model;
  const { estado = 'aguardando', final = false, total_etapas: total } = snapshot;
  const isKnown = step >= 0;
  const isDone = final && isQuote(estado);
  const value = isKnown ? Math.floor(model._percent) : undefined;
  const message = plainText(snapshot.mensagem);
  // At the end the outcome or the error says everything: the last message is left out.
  const isSaid = final && (!failureCode(estado) || sayError(model, snapshot));
  return {
    on: {
      [estado]: true,
      waiting: !isKnown,
      running: isKnown && !final,
      done: isDone,
      error: final && !isDone,
      stalled: model._isLate,
      final,
    },
    _kind: kindOf(estado),
    value,
    percent: isKnown && `${value}%`,
    estado: say(estado),
    etapa: step,
    passo: step ? say('Etapa # de @', step, total) : '',
    nome: final ? '' : name,
    mensagem: isSaid || message === name || FULL_STOP.test(message) ? '' : message,
    tempo: isKnown && say('Tempo: #', duration(model._elapsed)),
    eta: sayTimeLeft(model._secondsLeft, say),
    aviso: sayNotice(model, final, say),
    erro: sayError(model, snapshot),
  };
}
