// The script of /embed: puts the server's address into the snippets, copies them, and changes the widget's look.

const byId = (id) => document.getElementById(id);

// A server behind a proxy does not know the address that visitors use; the browser does.
for (const node of document.querySelectorAll('.snippet')) {
  node.textContent = node.textContent.replace(/src="https?:\/\/[^/"]+/, `src="${location.origin}`);
}

async function copy(button) {
  const node = byId(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(node.textContent);
  } catch { // no permission, or no https: the snippet is selected, so that the visitor can copy it
    getSelection().selectAllChildren(node);
    byId('said').textContent = 'Selecionado: copie com Ctrl+C.';
    button.textContent = 'Copie com Ctrl+C';
    return;
  }
  byId('said').textContent = 'Código copiado.';
  button.textContent = 'Copiado';
  setTimeout(() => {
    button.textContent = 'Copiar código';
    byId('said').textContent = '';
  }, 3000);
}

for (const button of document.querySelectorAll('[data-copy]')) {
  button.hidden = false;
  button.onclick = () => copy(button);
}

byId('look').hidden = false;
for (const name of ['theme', 'lang']) {
  // A reload keeps what the visitor had chosen, but the widget begins with its default again.
  byId(name).value = byId('live').getAttribute(name);
  byId(name).onchange = () => byId('live').setAttribute(name, byId(name).value);
}
