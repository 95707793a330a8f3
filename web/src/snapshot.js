// What the messages of a session add up to: the snapshot of docs/api.rst, kept up to date.
//
// Pure; one state object in, another out, none is changed. The rules are those of the server's snapshot, so that a
// page that saw the updates and one that took the snapshot hold the same. Invariants: within an epoch `seq` rises
// strictly, `percentual` never falls, `final` never goes back, estimates and result stay once seen.

const blank = (epoch, seq) => ({
  epoch, seq, etapa_atual: 0, total_etapas: 15, percentual: 0, dados_extra: {}, erros: [], estado: 'aguardando',
});

/**
 * Take in one message.
 *
 * @param {object | null} state null while nothing is known.
 * @param {object} m sync, reset or progress_update.
 * @param {boolean} [holey] this run's numbers have holes, so a hole is no loss.
 * @returns {[object | null, string]} the state and what became of the message: 'next' and 'reset' are news, 'place'
 *   is a position without news, 'old' was seen, 'gap' means that something is missing, '' that it says nothing.
 */
export const reduce = (state, m, holey) => {
  const same = m.epoch && state?.epoch === m.epoch ? state : null;
  const isOld = same && m.seq <= same.seq;
  if (m.type === 'progress_update') {
    const held = (m.epoch ? same : state) || blank(m.epoch, 0);
    if (isOld) return [state, 'old'];
    if (m.epoch && m.seq !== held.seq + 1 && !(same && holey)) return [state, 'gap'];
    return [apply(held, m), 'next'];
  }
  if (m.recovered) return same ? [state, isOld ? '' : 'gap'] : [blank(m.epoch, m.seq), 'place'];
  if (!m.snapshot) return [state, ''];
  return isOld ? [state, 'old'] : [m.snapshot, 'reset'];
};

const apply = (s, { type, evento = '', etapa, timestamp, dados_extra, erro, contexto = '', status, mensagem, ...rest }) => {
  const extra = { ...s.dados_extra, ...dados_extra, ...rest.resultado };
  const estimativas = rest.estimativas || extra.estimativas_tela_5 || s.estimativas;
  if (estimativas) extra.estimativas_tela_5 = estimativas;
  const { plano_recomendado, plano_alternativo } = extra;
  const final = s.final || rest.final === true;
  return {
    ...s,
    ...rest,
    etapa_atual: etapa >= 0 ? etapa : s.etapa_atual,
    percentual: Math.max(s.percentual, final ? 100 : Math.min(99, rest.percentual ?? (etapa / s.total_etapas * 100 || 0))),
    status: /^e/.test(evento) ? s.status : status,
    mensagem: /^[ef]/.test(evento) ? s.mensagem : mensagem,
    timestamp_inicio: s.timestamp_inicio || timestamp,
    timestamp_atualizacao: timestamp,
    dados_extra: extra,
    erros: evento === 'erro' ? [...s.erros, { erro: erro || mensagem, contexto, timestamp }] : s.erros,
    estado: s.final ? s.estado : rest.estado || 'executando',
    final,
    estimativas,
    resultado: final && (plano_recomendado || plano_alternativo) ? { plano_recomendado, plano_alternativo } : s.resultado,
  };
};
