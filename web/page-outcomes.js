// Made by build.mjs of src/outcome.js: the words and the colours of page.js.

export const OUTCOMES = {
  __proto__: null, // so that a server's word such as "constructor" finds nothing here
  aguardando: {"words":"Aguardando o início","kind":"muted"},
  executando: {"words":"Em andamento","kind":"running"},
  sucesso: {"words":"Cotação concluída","kind":"good"},
  cotacao_manual: {"words":"Cotação manual necessária","kind":"warn"},
  erro: {"words":"Não foi possível concluir","kind":"bad"},
  expirado: {"words":"Cotação expirada","kind":"warn"},
  cancelado: {"words":"Cotação cancelada","kind":"muted"},
};
