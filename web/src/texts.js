// Every word that visitors read in Brazilian Portuguese; English and the rest come from the file beside the script.

const PT = { __proto__: null }; // a server's word such as "constructor" finds nothing here
for (const line of `title|Sua cotação
aguardando|Aguardando o início
executando|Em andamento
sucesso|Cotação concluída
cotacao_manual|Cotação manual necessária
erro|Não foi possível concluir
expirado|Cotação expirada
cancelado|Cotação cancelada
manual|A cotação precisa ser feita por uma pessoa.
stopped|A cotação parou antes do fim.
unpriced|Os valores não foram informados.
fault|Não foi possível acompanhar a cotação.
step|Etapa # de @
again|Tentando novamente.
time|Tempo: #
about|Faltam cerca de # min
soon|Falta menos de 1 min
late|Está demorando mais que o normal; ainda em andamento (etapa #).
offline|Sem conexão. Reconectando… seu pedido continua sendo processado.
retry|Tentar agora
contact|Falar com um corretor
estimate|Estimativas iniciais
range|De # até @
plans|Resultado
recomendado|Plano recomendado
alternativo|Plano alternativo
unknown|não informado
true|sim
false|não
log|Passo a passo`.split('\n')) {
  const [key, words] = line.split('|');
  PT[key] = words;
}

/** What is known beyond the script, see more.js. */
export const learned = { en: { __proto__: null }, fields: [], demo: { steps: [] } };

/**
 * Say *key* in a language: English for "en", Brazilian Portuguese for everything else.
 *
 * @returns {string} with "#" and "@" replaced by *one* and *two*; a key without a text is its own.
 */
export const say = (lang, key, one, two) => `${(lang === 'en' && learned.en[key]) || PT[key] || key}`
  .replace('#', () => one).replace('@', () => two);

/** Seconds as "42 s" or "1 min 05 s". */
export const duration = (seconds) => {
  const rest = `${Math.floor(seconds % 60)} s`;
  return seconds < 60 ? rest : `${Math.floor(seconds / 60)} min ${rest.padStart(4, 0)}`;
};
