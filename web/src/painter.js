// Draws the views of a run into the widget's parts, announces news to screen readers, and manages the focus.

import { bind } from './bind.js';
import { setAttributes } from './dom.js';
import { safeUrl } from './safe-url.js';
import { createSpeaker } from './speaker.js';
import { fillSection, makeParts } from './widget-parts.js';
import { loaded, translate } from './words.js';

const STEP_PAUSE_MS = 10_000; // shortest time from the last announcement to that of a step

/** Join a title and items into sentences. */
const asSentences = (title, items) => [title, ...items.map(([name, words]) => `${name}: ${words}`)].join('. ');

/** Return the step with its message, name or state as text, for announcements and for the bar. */
const stepWords = ({ passo, mensagem, nome, estado }) => [passo, mensagem || nome || estado].filter(Boolean).join(': ');

export class Painter {
  /**
   * @param {HTMLElement} base contains the parts.
   * @param {HTMLElement} live live region, for announcements.
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

  /** Announce what is new since the last view. */
  _announce({ on, estimate, aviso, lang }) {
    const { _drawn: drawn, _speak: speak } = this;
    if (estimate.length && !drawn.estimate.length) speak(asSentences(translate(lang, 'Estimativas iniciais'), estimate));
    // A notice is not announced again when only its language changes, which happens once English is loaded.
    if (aviso && (!drawn.aviso || on.offline !== drawn.on.offline)) speak(aviso);
    // Not `!on.offline`: undefined means that the run can't be followed any more; the connection is not back then.
    if (drawn.on.offline && on.offline === false) speak(translate(lang, loaded.words.back));
  }

  /** Announce the end, or another step. At the end a focus inside the widget (*focused*) moves to the result. */
  _announceStep(view, focused) {
    const { _drawn: drawn, _speak: speak } = this;
    if (view.on.final && !drawn.on.final) {
      speak(asSentences(view.estado, view.plans));
      if (focused) (this._parts.plans.firstChild ?? this._parts.state).focus();
    } else if (view.passo && view.etapa !== drawn.etapa) speak(stepWords(view), STEP_PAUSE_MS);
  }
}
