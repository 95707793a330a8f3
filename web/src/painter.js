// Draws the views of a run into the widget's parts, says what is new, and takes care of the focus.

import { bind } from './bind.js';
import { setAttributes } from './dom.js';
import { safeUrl } from './safe-url.js';
import { createSpeaker } from './speaker.js';
import { fillSection, makeParts } from './widget-parts.js';
import { loaded, translate } from './words.js';

const STEP_PAUSE_MS = 10_000; // between steps that are said

/** Return a title and items as one sentence after the other. */
const asSentences = (title, items) => [title, ...items.map(([name, words]) => `${name}: ${words}`)].join('. ');

/** Return the step and what goes on in it, as it is said and read out of the bar. */
const stepWords = ({ passo, mensagem, nome, estado }) => [passo, mensagem || nome || estado].filter(Boolean).join(': ');

export class Painter {
  /**
   * @param {HTMLElement} base gets the parts.
   * @param {HTMLElement} live gets the news for screen readers.
   */
  constructor(base, live) {
    this._base = base;
    this._parts = makeParts(base);
    this._speak = createSpeaker(live);
    this._drawn = { on: {}, estimate: [] }; // the last view
  }

  _draw(view) {
    const focused = this._base.getRootNode().activeElement; // null unless the focus is inside the widget
    this._fill(view);
    this._announce(view);
    if (focused?.hidden) this._parts.state.focus();
    this._announceStep(view, focused);
    this._drawn = view;
  }

  _fill(view) {
    const { track, plans, estimate, log, contact } = this._parts;
    const { on, lang, value } = view;
    const say = (words) => translate(lang, words);
    const title = say('Sua cotação');
    const needsHelp = on.error || (on.final && view.dica);
    const address = needsHelp && safeUrl(view.contact);
    if (address) contact.href = address;
    bind(this._base, { ...view, title, retry: say('Tentar agora'), contact: address ? say('Falar com um corretor') : '' });
    setAttributes(this._base, { lang, class: view._kind });
    setAttributes(track, { 'aria-label': title, 'aria-valuetext': stepWords(view) });
    if (value >= 0) setAttributes(track, { 'aria-valuenow': value });
    setAttributes(plans, { 'aria-busy': !on.final });
    fillSection(plans, say('Resultado'), view.plans, 'plan');
    fillSection(estimate, say('Estimativas iniciais'), view.estimate, 'item');
    fillSection(log, say('Passo a passo'), view.log, 'item');
  }

  /** Say what is new since the last view. */
  _announce({ on, estimate, aviso, lang }) {
    const { _drawn: drawn, _speak: speak } = this;
    if (estimate.length && !drawn.estimate.length) speak(asSentences(translate(lang, 'Estimativas iniciais'), estimate));
    // The same notice in another language, once that is loaded, is no news.
    if (aviso && (!drawn.aviso || on.offline !== drawn.on.offline)) speak(aviso);
    // Not `!on.offline`: where the run is not followed any more, the connection is not back.
    if (drawn.on.offline && on.offline === false) speak(translate(lang, loaded.words.back));
  }

  /** Say the end, or another step; at the end take whoever is inside the widget to the result, and nobody else. */
  _announceStep(view, focused) {
    const { _drawn: drawn, _speak: speak } = this;
    if (view.on.final && !drawn.on.final) {
      speak(asSentences(view.estado, view.plans));
      if (focused) (this._parts.plans.firstChild ?? this._parts.state).focus();
    } else if (view.passo && view.etapa !== drawn.etapa) speak(stepWords(view), STEP_PAUSE_MS);
  }
}
