// Applies the messages of a session to its snapshot, which is that of docs/api.rst.
//
// Pure: one snapshot in, another out, none is changed. The rules are those of the server's snapshot, so that a page
// that saw the updates and one that received the snapshot show the same. Invariants: within an epoch `seq` rises
// strictly, `percentual` never falls, `final` never goes back, estimates and result stay once seen.

/** Values of `evento` that leave the robot's status as it was, and those that leave its message. */
const KEEP_STATUS = new Set(['estimativas', 'erro']);
const KEEP_MESSAGE = new Set(['estimativas', 'erro', 'final']);

const blank = (epoch, seq) => ({
  epoch, seq, etapa_atual: 0, total_etapas: 15, percentual: 0, dados_extra: {}, erros: [], estado: 'aguardando',
});

/**
 * Handle one message.
 *
 * @param {object | null} snapshot null while nothing is known.
 * @param {object} message sync, reset or progress_update.
 * @param {boolean} [isSparse] this run's numbers have holes that nobody can fill, so none of them is a 'gap'.
 * @returns {[object | null, string]} the snapshot, and what the message was: 'next' (one more update) and 'reset' (a
 *   whole snapshot) are news, 'position' says where the stream begins, 'old' was seen before, 'gap' means that an
 *   earlier update is missing, '' that there is nothing new in it.
 */
export const reduce = (snapshot, message, isSparse) => {
  const sameRun = message.epoch && snapshot?.epoch === message.epoch ? snapshot : null;
  const isOld = sameRun && message.seq <= sameRun.seq;
  if (message.type === 'progress_update') {
    if (isOld) return [snapshot, 'old'];
    // An update without an epoch was published by another program and has no number either.
    const base = (message.epoch ? sameRun : snapshot) || blank(message.epoch, 0);
    const mayFollow = !message.epoch || message.seq === base.seq + 1 || (sameRun && isSparse);
    return mayFollow ? [apply(base, message), 'next'] : [snapshot, 'gap'];
  }
  if (message.recovered) {
    if (!sameRun) return [blank(message.epoch, message.seq), 'position'];
    return [snapshot, isOld ? '' : 'gap'];
  }
  if (!message.snapshot) return [snapshot, ''];
  return isOld ? [snapshot, 'old'] : [message.snapshot, 'reset'];
};

/** Return *snapshot* with *update* applied; keys of the update that are not read here are dropped, as on the server. */
const apply = (snapshot, update) => {
  const { evento = '', etapa, timestamp, erro, contexto = '', status, mensagem } = update;
  const extra = { ...snapshot.dados_extra, ...update.dados_extra, ...update.resultado };
  const estimativas = update.estimativas || extra.estimativas_tela_5 || snapshot.estimativas;
  if (estimativas) extra.estimativas_tela_5 = estimativas;
  const final = snapshot.final || update.final === true;
  // An update of another program may lack any of these.
  const { epoch, seq, session_id, total_etapas } = { ...snapshot, ...update };
  return {
    ...snapshot,
    epoch,
    seq,
    session_id,
    total_etapas,
    // The deployed robot's exception handler writes step 0, however far the run has come.
    etapa_atual: Math.min(Math.max(etapa, 0), total_etapas) || snapshot.etapa_atual,
    percentual: Math.max(snapshot.percentual, final ? 100 : percentOf(update, snapshot.total_etapas)),
    status: KEEP_STATUS.has(evento) ? snapshot.status : status,
    mensagem: KEEP_MESSAGE.has(evento) ? snapshot.mensagem : mensagem,
    timestamp_inicio: snapshot.timestamp_inicio || timestamp,
    timestamp_atualizacao: timestamp,
    dados_extra: extra,
    erros: evento === 'erro' ? [...snapshot.erros, { erro: erro || mensagem, contexto, timestamp }] : snapshot.erros,
    estado: snapshot.final ? snapshot.estado : update.estado || 'executando',
    final,
    estimativas,
    resultado: (final && resultOf(extra)) || snapshot.resultado,
  };
};

/** Return the percentage of an update, below 100: only the end of the run makes it 100. */
const percentOf = ({ percentual, etapa }, total) => Math.min(99, percentual ?? (etapa / total * 100 || 0));

const resultOf = ({ plano_recomendado, plano_alternativo }) => (
  plano_recomendado || plano_alternativo ? { plano_recomendado, plano_alternativo } : null);
