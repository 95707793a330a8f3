// What the widget adds to a session's state: the bar, the time it takes, and the words to show for it all.
//
// Pure: no clock, no DOM. Invariants: within one run the bar never goes back; another epoch is another run and starts
// all over. Nothing that a server sends is trusted to have the right type.

import { parseMoney, sayMoney, text } from './money.js';
import { anchor, pace, smooth } from './time-left.js';
import { duration, learned, say } from './words.js';

const UNKNOWN = 'não informado';
const PLAUSIBLE_MS = 900_000; // no step takes a quarter of an hour

/**
 * Note where a run is.
 *
 * @param {object} held the model so far, {} at first. Times in it are ms by the robot's clock; _skew is what our clock
 *   is ahead of it.
 * @param {object} s the state: a snapshot of docs/api.rst; and erro, what the newest update says went wrong.
 * @param {number} now ms since 1970, the visitor's clock.
 */
export function take(held, s, now) {
  const m = held._epoch === s.epoch ? { ...held } : { _epoch: s.epoch, _percent: 0 };
  m._error = text(s.erro);
  // A robot puts itself at its last step when it ends, wherever it stopped.
  const step = s.final && s.estado !== 'sucesso' ? m._step ?? 0 : Math.floor(s.etapa_atual);
  // Only the robot's clock gives durations, since its zone is not told. How old its last word is can be told where
  // the two clocks agree: an implausible age counts as none.
  m._last = Date.parse(s.timestamp_atualizacao) || now;
  m._skew = now - m._last;
  if (m._skew > 0 && m._skew < PLAUSIBLE_MS) m._skew = 0;
  m._start ??= Date.parse(s.timestamp_inicio) || m._last;
  if (step !== m._step) {
    m._again = step < m._step;
    m._hasPace = m._step >= 0; // a guess needs something to go by
    m._begun = m._last;
    m._step = step;
    // What a robot says first of a step is the step's name.
    m._name = text(s.mensagem).replace(/.*(conclu|pulad|falh).*/, '');
  }
  return move(m, s, now);
}

/** Move the bar and the estimate on to the time *now*. */
export function move(m, s, now) {
  const clock = s.final ? m._last : now - m._skew;
  const elapsed = (clock - m._start) / 1000;
  const [percent, late, left] = pace(s.total_etapas, m._step, (clock - m._begun) / 1000, elapsed);
  return {
    ...m,
    _elapsed: elapsed,
    _late: !s.final && late,
    _left: m._hasPace && !s.final && !late ? smooth(m._left, left, elapsed - m._elapsed) : NaN,
    _percent: Math.max(m._percent, (s.final ? 100 * (s.estado === 'sucesso') : percent) || 0),
  };
}

/**
 * Say a run: the words that the widget and data-rpa-text show, by the names of docs/webflow.rst.
 *
 * @param {object} m the model.
 * @param {object} s the state, {} while nothing is known.
 * @param {string} lang pt-BR or en.
 * @returns {object} words by name; and on (the conditions of data-rpa-show), value (the bar's, undefined while there is
 *   none), and estimate and plans, both of [title, words, rows of [title, words]].
 */
export function describe(m, s, lang) {
  const t = (...words) => say(lang, ...words);
  const money = (value) => sayMoney(value, lang) || t(UNKNOWN);
  const view = sayState(m, s, t);
  sayPlans(view, s.resultado, t, money);
  sayEstimates(view, s.estimativas, t, money);
  const { on } = view;
  const [, hint] = Object.entries(learned.words).find(([name]) => on[name]) ?? [];
  view.dica = view.plans.some(([, price]) => price !== t(UNKNOWN)) ? '' : t(hint);
  return view;
}

function sayState(m, s, t) {
  const { _step: step, _left: left, _late: late } = m;
  const { estado = 'aguardando', final = false, total_etapas: total, erros } = s;
  const isKnown = step >= 0;
  const isDone = final && estado === 'sucesso';
  const isManual = estado === 'cotacao_manual';
  const last = erros?.[erros.length - 1];
  const error = text(last?.erro) || m._error;
  const message = text(s.mensagem);
  const minutes = anchor(left);
  const value = isKnown ? Math.floor(m._percent) : undefined;
  return {
    on: {
      [estado]: true, waiting: !isKnown, running: isKnown && !final, done: isDone, error: final && !isDone, stalled: late, final,
    },
    value,
    percent: isKnown && `${value}%`,
    estado: t(estado),
    etapa: step,
    passo: step ? t('Etapa # de @', step, total) : '',
    nome: final ? '' : m._name,
    // At the end the state or the error says it. "RPA success" and the like are the robot's internal full stop.
    mensagem: (final && (isDone || isManual || error)) || message === m._name || /^RPA \w+$/.test(message) ? '' : message,
    tempo: isKnown && t('Tempo: #', duration(m._elapsed)),
    eta: left >= 0 ? t(minutes ? learned.words.left : learned.words.little, minutes) : '',
    aviso: late ? t(learned.words.late, step)
      : m._again && !final ? t(learned.words.again) : '',
    // A manual quotation is an ordinary ending, told by its label and hint: no alarm.
    erro: (final ? !isDone && !isManual : last && last.timestamp === s.timestamp_atualizacao) ? error : '',
  };
}

/** Say the plans, for the widget and as plan.recomendado.valor and the like. */
function sayPlans(view, result, t, money) {
  view.plans = [];
  for (const which of ['recomendado', 'alternativo']) {
    const plan = result?.[`plano_${which}`];
    if (!plan) continue;
    const tell = (key) => view[`plan.${which}.${key}`] = typeof plan[key] === 'boolean' ? t(learned.words[plan[key]])
      : /^(val|dan|mor)/.test(key) ? money(plan[key]) : text(plan[key]) || t(UNKNOWN);
    const rows = learned.fields.map(([key, title]) => [t(title), tell(key)]);
    // Where not one word was read, the robot's "false" is only its default and says nothing either.
    view.plans.push([t(which), tell('valor'), rows.filter(() => learned.fields.some(([key]) => plan[key] === true || text(plan[key])))]);
  }
}

/** Say the estimates, each by its range, and the widest range of all as estimate.min and estimate.max. */
function sayEstimates(view, estimates, t, money) {
  const covers = estimates?.coberturas_detalhadas;
  const all = [[], []];
  view.estimate = (Array.isArray(covers) ? covers : []).map((cover) => {
    const { nome, nome_cobertura: full, valores } = cover ?? {};
    const range = [valores?.de, valores?.ate];
    range.forEach((price, i) => all[i].push(parseMoney(price)));
    // The robot reads a cover's name and the "De" before its price as one word: "RCFDe".
    return [text(nome ?? full).replace(/(\p{Ll}|[A-Z]{2})De$/u, '$1'), t('De # até @', ...range.map(money))];
  });
  if (view.estimate[0]) {
    const [min, max] = all.map((amounts) => amounts.filter((one) => one >= 0).sort((a, b) => a - b));
    view['estimate.min'] = money(min[0]);
    view['estimate.max'] = money(max.pop());
  }
}
